"""Lists: deliveries by state and time without reading them all"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0010"
down_revision: str | None = "0009"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_LEFT = sa.text("state NOT IN ('scheduled', 'armed', 'sending')")


def upgrade() -> None:
    op.create_index(
        "ix_deliveries_left",
        "deliveries",
        ["state", "due_at", "id"],
        sqlite_where=_LEFT,
        postgresql_where=_LEFT,
    )


def downgrade() -> None:
    op.drop_index("ix_deliveries_left", "deliveries")
