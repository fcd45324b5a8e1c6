"""Tables of what comes back: reports about readers, and how far their mailboxes were read."""

from __future__ import annotations

from sqlalchemy import JSON, BigInteger, Column, Index, Integer, String, Table, Text

from scheduler.store.tables import Id, Moment, metadata

# One row a report, whichever way it came, so that each counts once.
returns = Table(
    "returns",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("contact_id", Id, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("status", String(32), nullable=False, server_default=""),
    Column("detail", Text, nullable=False, server_default=""),
    Column("source", String(64), nullable=False),
    Column("at", Moment, nullable=False),
    Index("ix_returns_contact", "contact_id", "at"),
)

# Mails up to `uid` of this `validity` were read; those in `handled` are to be put away.
mailboxes = Table(
    "mailboxes",
    metadata,
    Column("account_id", Id, primary_key=True),
    Column("validity", BigInteger, nullable=False),
    Column("uid", BigInteger, nullable=False),
    Column("handled", JSON, nullable=False),
    Column("failures", Integer, nullable=False, server_default="0"),
    Column("updated_at", Moment, nullable=False),
)
