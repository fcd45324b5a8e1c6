"""Alerts: news that is still to be told, without walking what was"""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op

revision: str = "0023"
down_revision: str | None = "0022"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

# Built ahead, while others write, where there are any (see `scheduler.store.ahead`).
INDEX = "ix_alerts_news"
_NEWS = sa.text("notified_at IS NULL AND severity = 'info'")


def build(**how: Any) -> None:
    op.create_index(
        INDEX,
        "alerts",
        ["created_at", "id"],
        sqlite_where=_NEWS,
        postgresql_where=_NEWS,
        if_not_exists=True,
        **how,
    )


def upgrade() -> None:
    build()


def downgrade() -> None:
    op.drop_index(INDEX, "alerts")
