"""Letters: the page of a mailing can be taken down"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0021"
down_revision: str | None = "0020"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.add_column("letters", sa.Column("withdrawn_at", sa.BigInteger(), nullable=True))


def downgrade() -> None:
    op.drop_column("letters", "withdrawn_at")
