"""Arrived: when a reader's own server took a mail, as a provider tells"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0020"
down_revision: str | None = "0019"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.add_column("recipients", sa.Column("arrived_at", sa.BigInteger(), nullable=True))


def downgrade() -> None:
    op.drop_column("recipients", "arrived_at")
