"""Choosing: the addresses of an account in the order of its people"""

from collections.abc import Sequence

from alembic import op

revision: str = "0014"
down_revision: str | None = "0013"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_index("ix_addresses_account", "addresses", ["account_id", "contact_id"])


def downgrade() -> None:
    op.drop_index("ix_addresses_account", table_name="addresses")
