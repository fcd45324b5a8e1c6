"""Tables of what is told: alerts, and webhooks that they are sent to."""

from __future__ import annotations

from sqlalchemy import JSON, Column, ForeignKey, Index, Integer, LargeBinary, String, Table, Text

from scheduler.store.tables import Id, Moment, index_where, metadata

alerts = Table(
    "alerts",
    metadata,
    Column("id", Id, primary_key=True),
    # One open alert for one fact; NULL once resolved, so that the fact can come back.
    Column("fact", String(200), unique=True),
    Column("kind", String(48), nullable=False),
    Column("severity", String(16), nullable=False),
    Column("data", JSON, nullable=False),
    Column("count", Integer, nullable=False, server_default="1"),
    Column("created_at", Moment, nullable=False),
    Column("updated_at", Moment, nullable=False),
    Column("notified_at", Moment),
    Column("resolved_at", Moment),
    Index("ix_alerts_created", "created_at"),
    # What is open, and the news that is still to be told: few of all there ever were.
    index_where("ix_alerts_open", "created_at", "id", where="resolved_at IS NULL"),
    index_where(
        "ix_alerts_news", "created_at", "id", where="notified_at IS NULL AND severity = 'info'"
    ),
)

hooks = Table(
    "hooks",
    metadata,
    Column("id", Id, primary_key=True),
    Column("url", Text, nullable=False),
    Column("secret", LargeBinary, nullable=False),
    Column("kinds", JSON, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("disabled_at", Moment),
)

hook_calls = Table(
    "hook_calls",
    metadata,
    Column("id", Id, primary_key=True),
    Column("hook_id", Id, ForeignKey("hooks.id"), nullable=False),
    Column("kind", String(48), nullable=False),
    Column("payload", JSON, nullable=False),
    Column("tries", Integer, nullable=False, server_default="0"),
    Column("next_at", Moment),
    Column("status", Integer),
    Column("detail", Text, nullable=False, server_default=""),
    Column("created_at", Moment, nullable=False),
    Column("done_at", Moment),
    index_where("ix_hook_calls_next", "next_at", where="done_at IS NULL"),
)
