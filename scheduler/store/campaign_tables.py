"""Tables of what is planned together: campaigns, and what makes one again and again."""

from __future__ import annotations

from sqlalchemy import JSON, Column, Index, Integer, String, Table, Text

from scheduler.store.tables import Id, Moment, index_where, metadata

campaigns = Table(
    "campaigns",
    metadata,
    Column("id", Id, primary_key=True),
    Column("name", Text, nullable=False),
    Column("anchor_local", String(32), nullable=False),
    Column("zone", String(64), nullable=False),
    Column("fields", JSON, nullable=False),
    # What it was before each move, oldest first: [{until, anchor_local, zone, fields}].
    Column("history", JSON, nullable=False, server_default="[]"),
    Column("recurrence_id", Id),
    Column("occurrence", String(32)),
    Column("version", Integer, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("updated_at", Moment, nullable=False),
    Column("cancelled_at", Moment),
    Index("ix_campaigns_created", "created_at", "id"),
    # No occurrence is planned twice, by two workers or after a crash.
    index_where(
        "uq_campaigns_occurrence",
        "recurrence_id",
        "occurrence",
        where="recurrence_id IS NOT NULL",
        unique=True,
    ),
)

recurrences = Table(
    "recurrences",
    metadata,
    Column("id", Id, primary_key=True),
    Column("name", Text, nullable=False),
    Column("rule", Text, nullable=False),
    Column("start_local", String(32), nullable=False),
    Column("zone", String(64), nullable=False),
    Column("exceptions", JSON, nullable=False),
    Column("story", JSON, nullable=False),
    # Local time up to which every occurrence is planned or told.
    Column("done_until", String(32), nullable=False),
    Column("created_by", String(64), nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("updated_at", Moment, nullable=False),
    Column("ended_at", Moment),
)
