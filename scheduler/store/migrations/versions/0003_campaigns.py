"""Campaigns: placed posts, what an anchor was before, recurrences"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0003"
down_revision: str | None = "0002"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "recurrences",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("start_local", sa.String(length=32), nullable=False),
        sa.Column("zone", sa.String(length=64), nullable=False),
        sa.Column("exceptions", sa.JSON(), nullable=False),
        sa.Column("story", sa.JSON(), nullable=False),
        sa.Column("done_until", sa.String(length=32), nullable=False),
        sa.Column("created_by", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_recurrences")),
    )
    with op.batch_alter_table("campaigns", schema=None) as batch_op:
        batch_op.add_column(sa.Column("history", sa.JSON(), server_default="[]", nullable=False))
        batch_op.add_column(sa.Column("recurrence_id", sa.String(length=36), nullable=True))
        batch_op.add_column(sa.Column("occurrence", sa.String(length=32), nullable=True))
        batch_op.create_index(
            "uq_campaigns_occurrence",
            ["recurrence_id", "occurrence"],
            unique=True,
            sqlite_where=sa.text("recurrence_id IS NOT NULL"),
            postgresql_where=sa.text("recurrence_id IS NOT NULL"),
        )
        batch_op.create_index("ix_campaigns_created", ["created_at", "id"], unique=False)
    with op.batch_alter_table("posts", schema=None) as batch_op:
        batch_op.add_column(sa.Column("placement", sa.JSON(), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("posts", schema=None) as batch_op:
        batch_op.drop_column("placement")
    with op.batch_alter_table("campaigns", schema=None) as batch_op:
        batch_op.drop_index("ix_campaigns_created")
        batch_op.drop_index("uq_campaigns_occurrence")
        batch_op.drop_column("occurrence")
        batch_op.drop_column("recurrence_id")
        batch_op.drop_column("history")
    op.drop_table("recurrences")
