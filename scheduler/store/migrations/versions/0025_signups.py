"""Sign-ups of the last hour, counted by keyed hashes"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0025"
down_revision: str | None = "0024"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "signups",
        sa.Column("list_id", sa.String(36), nullable=False),
        sa.Column("visitor", sa.String(64), nullable=False),
        sa.Column("address", sa.String(64), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("list_id", "visitor", "address", name=op.f("pk_signups")),
    )
    op.create_index("ix_signups_list", "signups", ["list_id", "at"])
    op.create_index("ix_signups_at", "signups", ["at"])


def downgrade() -> None:
    op.drop_table("signups")
