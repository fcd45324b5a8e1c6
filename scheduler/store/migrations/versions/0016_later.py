"""Later: what became of a mail after its server had taken it"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0016"
down_revision: str | None = "0015"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.add_column(
        "recipients", sa.Column("later", sa.String(length=16), server_default="", nullable=False)
    )


def downgrade() -> None:
    op.drop_column("recipients", "later")
