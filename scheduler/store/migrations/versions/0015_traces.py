"""Traces: what readers do with mailings, of those who agreed to that"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0015"
down_revision: str | None = "0014"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_TABLES = ("lists", "memberships")


def upgrade() -> None:
    for table in _TABLES:
        op.add_column(
            table, sa.Column("tracking", sa.String(length=32), server_default="", nullable=False)
        )
    op.create_table(
        "traces",
        sa.Column("delivery_id", sa.String(length=36), nullable=False),
        sa.Column("contact_id", sa.String(length=36), nullable=False),
        sa.Column("link", sa.String(length=32), nullable=False),
        sa.Column("list_id", sa.String(length=36), nullable=False),
        sa.Column("url", sa.Text(), server_default="", nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("first_at", sa.BigInteger(), nullable=False),
        sa.Column("last_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("delivery_id", "contact_id", "link", name=op.f("pk_traces")),
    )
    op.create_index("ix_traces_contact", "traces", ["contact_id", "list_id"])


def downgrade() -> None:
    op.drop_table("traces")
    for table in _TABLES:
        op.drop_column(table, "tracking")
