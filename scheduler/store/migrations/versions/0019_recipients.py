"""Recipients: found by person, for erasure, export, and mails that come back"""

from collections.abc import Sequence

from alembic import op

revision: str = "0019"
down_revision: str | None = "0018"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    # Built by hand before (`CREATE INDEX CONCURRENTLY`, see the runbook), it is there.
    op.create_index(
        "ix_recipients_contact", "recipients", ["contact_id", "delivery_id"], if_not_exists=True
    )


def downgrade() -> None:
    op.drop_index("ix_recipients_contact", table_name="recipients")
