"""Choosing: the addresses of an account in the order of its people"""

from collections.abc import Sequence
from typing import Any

from alembic import op

revision: str = "0014"
down_revision: str | None = "0013"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

# Built ahead, while others write, where there are any (see `scheduler.store.ahead`).
INDEX = "ix_addresses_account"


def build(**how: Any) -> None:
    op.create_index(INDEX, "addresses", ["account_id", "contact_id"], if_not_exists=True, **how)


def upgrade() -> None:
    build()


def downgrade() -> None:
    op.drop_index(INDEX, table_name="addresses")
