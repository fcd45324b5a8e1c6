"""Deliveries: when what was published was taken down"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0018"
down_revision: str | None = "0017"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.add_column("deliveries", sa.Column("withdrawn_at", sa.BigInteger(), nullable=True))


def downgrade() -> None:
    op.drop_column("deliveries", "withdrawn_at")
