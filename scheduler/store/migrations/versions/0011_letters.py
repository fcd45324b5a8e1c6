"""Letters: pages of mailings, and how often their links were followed"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0011"
down_revision: str | None = "0010"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_WISHES = ("archive", "indexed", "clicks")


def upgrade() -> None:
    op.create_table(
        "letters",
        sa.Column("delivery_id", sa.String(length=36), nullable=False),
        sa.Column("list_id", sa.String(length=36), nullable=False),
        sa.Column("slug", sa.String(length=128), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("language", sa.String(length=16), nullable=False),
        sa.Column("html", sa.Text(), nullable=False),
        sa.Column("published_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("delivery_id", name=op.f("pk_letters")),
        sa.UniqueConstraint("list_id", "slug", name="uq_letters_slug"),
    )
    op.create_table(
        "clicks",
        sa.Column("delivery_id", sa.String(length=36), nullable=False),
        sa.Column("link", sa.String(length=32), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("delivery_id", "link", name=op.f("pk_clicks")),
    )
    for name in _WISHES:
        op.add_column(
            "lists", sa.Column(name, sa.Boolean(), server_default=sa.false(), nullable=False)
        )


def downgrade() -> None:
    with op.batch_alter_table("lists", schema=None) as batch_op:
        for name in reversed(_WISHES):
            batch_op.drop_column(name)
    op.drop_table("clicks")
    op.drop_table("letters")
