"""Tables of what platforms and people's browsers bring in: receipts, logins under way."""

from __future__ import annotations

from sqlalchemy import Column, Index, LargeBinary, String, Table, Text

from scheduler.store.tables import Id, Moment, metadata

# Platforms repeat their webhooks: what was taken once is known here for as long as they repeat.
receipts = Table(
    "receipts",
    metadata,
    Column("account_id", Id, primary_key=True),
    Column("id", String(64), primary_key=True),
    Column("at", Moment, nullable=False),
    Index("ix_receipts_at", "at"),
)

# One row a login at a platform. `id` is the hash of the secret that the browser carries; what the
# login brought is sealed, and goes with the row.
logins = Table(
    "logins",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("adapter", String(64), nullable=False),
    Column("actor", String(64), nullable=False),
    Column("step", String(16), nullable=False),
    Column("candidates", LargeBinary),
    Column("detail", Text, nullable=False, server_default=""),
    Column("expires_at", Moment, nullable=False),
    Index("ix_logins_expires", "expires_at"),
)
