"""Lists: deliveries by state and time without reading them all"""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op

revision: str = "0010"
down_revision: str | None = "0009"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

# Built ahead, while others write, where there are any (see `scheduler.store.ahead`).
INDEX = "ix_deliveries_left"
_LEFT = sa.text("state NOT IN ('scheduled', 'armed', 'sending')")


def build(**how: Any) -> None:
    op.create_index(
        INDEX,
        "deliveries",
        ["state", "due_at", "id"],
        sqlite_where=_LEFT,
        postgresql_where=_LEFT,
        if_not_exists=True,
        **how,
    )


def upgrade() -> None:
    build()


def downgrade() -> None:
    op.drop_index(INDEX, "deliveries")
