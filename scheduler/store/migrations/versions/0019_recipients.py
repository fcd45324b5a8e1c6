"""Recipients: found by person, for erasure, export, and mails that come back"""

from collections.abc import Sequence
from typing import Any

from alembic import op

revision: str = "0019"
down_revision: str | None = "0018"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

# Built ahead, while others write, where there are any (see `scheduler.store.ahead`).
INDEX = "ix_recipients_contact"


def build(**how: Any) -> None:
    op.create_index(INDEX, "recipients", ["contact_id", "delivery_id"], if_not_exists=True, **how)


def upgrade() -> None:
    build()


def downgrade() -> None:
    op.drop_index(INDEX, table_name="recipients")
