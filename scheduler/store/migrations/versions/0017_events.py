"""Events: without an index that nothing read, and every delivery wrote"""

from collections.abc import Sequence

from alembic import op

revision: str = "0017"
down_revision: str | None = "0016"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.drop_index("ix_events_account", table_name="events")


def downgrade() -> None:
    op.create_index("ix_events_account", "events", ["account_id", "seq"])
