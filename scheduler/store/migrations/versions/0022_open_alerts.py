"""Alerts: those that are open, without walking what is long over"""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op

revision: str = "0022"
down_revision: str | None = "0021"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

# Built ahead, while others write, where there are any (see `scheduler.store.ahead`).
INDEX = "ix_alerts_open"
_OPEN = sa.text("resolved_at IS NULL")


def build(**how: Any) -> None:
    op.create_index(
        INDEX,
        "alerts",
        ["created_at", "id"],
        sqlite_where=_OPEN,
        postgresql_where=_OPEN,
        if_not_exists=True,
        **how,
    )


def upgrade() -> None:
    build()


def downgrade() -> None:
    op.drop_index(INDEX, "alerts")
