"""Audience: what lists ask for, mails about a subscription, imports that can be resumed"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0005"
down_revision: str | None = "0004"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "service_mails",
        sa.Column("list_id", sa.String(length=36), nullable=False),
        sa.Column("contact_id", sa.String(length=36), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("language", sa.String(length=16), nullable=False),
        sa.Column("tries", sa.Integer(), server_default="0", nullable=False),
        sa.Column("next_at", sa.BigInteger(), nullable=False),
        sa.Column("sent_at", sa.BigInteger(), nullable=True),
        sa.Column("detail", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("list_id", "contact_id", "kind", name=op.f("pk_service_mails")),
    )
    op.create_index("ix_service_mails_due", "service_mails", ["sent_at", "next_at"], unique=False)
    op.create_table(
        "imports",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("list_id", sa.String(length=36), nullable=False),
        sa.Column("progress", sa.JSON(), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("finished_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_imports")),
    )
    op.add_column("lists", sa.Column("wording", sa.Text(), server_default="", nullable=False))
    op.add_column(
        "lists", sa.Column("open", sa.Boolean(), server_default=sa.true(), nullable=False)
    )
    op.create_index("ix_memberships_state", "memberships", ["state", "since"], unique=False)


def downgrade() -> None:
    op.drop_index("ix_memberships_state", table_name="memberships")
    with op.batch_alter_table("lists", schema=None) as batch_op:
        batch_op.drop_column("open")
        batch_op.drop_column("wording")
    op.drop_table("imports")
    op.drop_index("ix_service_mails_due", table_name="service_mails")
    op.drop_table("service_mails")
