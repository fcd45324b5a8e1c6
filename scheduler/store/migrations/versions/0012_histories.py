"""Histories: what was tried and what happened, packed"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0012"
down_revision: str | None = "0011"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "histories",
        sa.Column("post_id", sa.String(length=36), nullable=False),
        sa.Column("lines", sa.LargeBinary(), nullable=False),
        sa.Column("packed_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("post_id", name=op.f("pk_histories")),
    )


def downgrade() -> None:
    op.drop_table("histories")
