"""Deliveries: what was cancelled, failed or rerouted lately, without walking all of history"""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op

revision: str = "0024"
down_revision: str | None = "0023"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

# Built ahead, while others write, where there are any (see `scheduler.store.ahead`).
INDEX = "ix_deliveries_ended"
_ENDED = sa.text("state = 'cancelled' OR state = 'failed' OR state = 'rerouted'")


def build(**how: Any) -> None:
    op.create_index(
        INDEX,
        "deliveries",
        ["updated_at"],
        sqlite_where=_ENDED,
        postgresql_where=_ENDED,
        if_not_exists=True,
        **how,
    )


def upgrade() -> None:
    build()


def downgrade() -> None:
    op.drop_index(INDEX, "deliveries")
