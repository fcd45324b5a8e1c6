"""Articles: addresses of the built-in blog kept beforehand, and who points to them"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0009"
down_revision: str | None = "0008"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "slugs",
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("slug", sa.String(length=200), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_slugs")),
        sa.UniqueConstraint("slug", name=op.f("uq_slugs_slug")),
    )
    op.create_table(
        "pointers",
        sa.Column("delivery_id", sa.String(length=36), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("delivery_id", name=op.f("pk_pointers")),
    )


def downgrade() -> None:
    op.drop_table("pointers")
    op.drop_table("slugs")
