"""Tables of the engine: posts, accounts, deliveries, what happened, who works.

Times are microseconds since 1970 (UTC) in BIGINT: both engines compare them alike and the hot
path converts nothing. Open sets that SQL never filters on are JSON.
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    text,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

_CONDITION = "where"

Moment = BigInteger
Id = String(36)
# SQLite gives autoincrement to INTEGER only.
Serial = BigInteger().with_variant(Integer(), "sqlite")


def index_where(name: str, *columns: str, where: str, unique: bool = False) -> Index:
    """A partial index on both engines.

    Telling the engines of the condition loads both: `told` does it, for whoever makes the schema.
    """
    return Index(name, *columns, unique=unique, info={_CONDITION: where})


def told(schema: MetaData) -> MetaData:
    """The same schema, its partial indexes complete on both engines."""
    for table in schema.tables.values():
        for index in table.indexes:
            if (condition := index.info.get(_CONDITION)) is not None:
                index.dialect_kwargs["sqlite_where"] = text(condition)
                index.dialect_kwargs["postgresql_where"] = text(condition)
    return schema


posts = Table(
    "posts",
    metadata,
    Column("id", Id, primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("title", Text, nullable=False),
    Column("content", JSON, nullable=False),
    Column("due_at", Moment, nullable=False),
    Column("zone", String(64), nullable=False),
    Column("late_policy", String(16), nullable=False),
    Column("deadline_at", Moment),
    Column("campaign_id", Id),
    # Of a campaign's post: {label, when}; `when` null once its time is its own.
    Column("placement", JSON),
    Column("version", Integer, nullable=False),
    Column("cancelled_at", Moment),
    Column("created_by", String(64), nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("updated_at", Moment, nullable=False),
    Index("ix_posts_due", "due_at", "id"),
    index_where("ix_posts_campaign", "campaign_id", where="campaign_id IS NOT NULL"),
)

accounts = Table(
    "accounts",
    metadata,
    Column("id", Id, primary_key=True),
    Column("adapter", String(64), nullable=False),
    Column("channel", String(32), nullable=False),
    Column("name", Text, nullable=False),
    Column("settings", JSON, nullable=False),
    Column("secrets", LargeBinary),
    Column("status", String(16), nullable=False),
    Column("status_reason", String(32), nullable=False, server_default=""),
    Column("status_detail", Text, nullable=False, server_default=""),
    Column("status_since", Moment, nullable=False),
    Column("checked_at", Moment),
    Column("suspected_at", Moment),
    Column("paused_until", Moment),
    Column("pause_reason", Text, nullable=False, server_default=""),
    Column("failures", Integer, nullable=False, server_default="0"),
    Column("expires_at", Moment),
    Column("max_concurrent", Integer, nullable=False, server_default="8"),
    Column("gap_ms", Integer, nullable=False, server_default="0"),
    Column("next_at", Moment),
    Column("audience", Integer),
    Column("policy", JSON, nullable=False, server_default="{}"),
    Column("archived_at", Moment),
    Column("created_at", Moment, nullable=False),
    Column("updated_at", Moment, nullable=False),
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("id", Id, primary_key=True),
    Column("post_id", Id, ForeignKey("posts.id"), nullable=False),
    Column("account_id", Id, ForeignKey("accounts.id"), nullable=False),
    Column("part", String(16), nullable=False),
    Column("state", String(16), nullable=False),
    Column("due_at", Moment, nullable=False),
    Column("planned_at", Moment, nullable=False),
    Column("deadline_at", Moment),
    Column("token", String(36)),
    Column("worker", String(64)),
    Column("lease_until", Moment),
    Column("attempt", Integer, nullable=False, server_default="0"),
    Column("tries", Integer, nullable=False, server_default="0"),
    Column("first_sent_at", Moment),
    Column("look_at", Moment),
    Column("looks", Integer, nullable=False, server_default="0"),
    Column("hold_reason", String(16)),
    Column("cause", Text, nullable=False, server_default=""),
    Column("parent_id", Id),
    Column("origin_id", Id),
    Column("trace", String(55)),
    Column("remote_id", Text),
    Column("url", Text),
    Column("created_at", Moment, nullable=False),
    Column("updated_at", Moment, nullable=False),
    Column("finished_at", Moment),
    # Taken down since: the state stays, so that it is never sent again.
    Column("withdrawn_at", Moment),
    # Small partial indexes: the due query stays as fast after ten million finished deliveries.
    index_where("ix_deliveries_due", "due_at", "id", where="state = 'scheduled'"),
    index_where(
        "ix_deliveries_claimed", "worker", "lease_until", where="state IN ('armed', 'sending')"
    ),
    index_where(
        "ix_deliveries_waiting", "look_at", where="state IN ('accepted', 'unconfirmed', 'held')"
    ),
    # For lists: what is held, what failed. Arming does not touch it.
    index_where(
        "ix_deliveries_left",
        "state",
        "due_at",
        "id",
        where="state NOT IN ('scheduled', 'armed', 'sending')",
    ),
    # What ended otherwise than published, by when: nothing that goes well touches it. Not `IN`: of
    # three values SQLite makes a table, for every statement that writes a state.
    index_where(
        "ix_deliveries_ended",
        "updated_at",
        where="state = 'cancelled' OR state = 'failed' OR state = 'rerouted'",
    ),
    Index("ix_deliveries_post", "post_id"),
    Index("ix_deliveries_account", "account_id", "state", "due_at"),
    index_where("ix_deliveries_parent", "parent_id", where="parent_id IS NOT NULL"),
    # No account ever carries the same part of a post twice, whatever road it came by.
    index_where(
        "uq_deliveries_once",
        "post_id",
        "account_id",
        "part",
        where="state <> 'cancelled'",
        unique=True,
    ),
)

attempts = Table(
    "attempts",
    metadata,
    Column("id", Serial, primary_key=True, autoincrement=True),
    Column("delivery_id", Id, nullable=False),
    Column("number", Integer, nullable=False),
    Column("token", String(36), nullable=False),
    Column("worker", String(64), nullable=False),
    Column("action", String(16), nullable=False),
    Column("started_at", Moment, nullable=False),
    Column("finished_at", Moment, nullable=False),
    Column("late_us", BigInteger),
    Column("outcome", String(16), nullable=False),
    Column("decision", String(16), nullable=False),
    Column("detail", Text, nullable=False, server_default=""),
    Column("evidence", JSON, nullable=False),
    # Written by a worker that had lost its lease: what it saw, without effect on the state.
    Column("stale", Boolean, nullable=False, server_default=text("false")),
    Index("ix_attempts_delivery", "delivery_id", "id"),
)

# Attempts and events of a post that is long over: {"attempts": […], "events": […]}, zlib's JSON.
histories = Table(
    "histories",
    metadata,
    Column("post_id", Id, primary_key=True),
    Column("lines", LargeBinary, nullable=False),
    Column("packed_at", Moment, nullable=False),
)

routes = Table(
    "routes",
    metadata,
    Column("account_id", Id, ForeignKey("accounts.id"), primary_key=True),
    Column("fallbacks", JSON, nullable=False),
    Column("mode", String(16), nullable=False),
    Column("rules", JSON, nullable=False),
    Column("updated_at", Moment, nullable=False),
)

events = Table(
    "events",
    metadata,
    Column("seq", Serial, primary_key=True, autoincrement=True),
    Column("at", Moment, nullable=False),
    Column("kind", String(48), nullable=False),
    Column("actor", String(64), nullable=False),
    Column("post_id", Id),
    Column("delivery_id", Id),
    Column("account_id", Id),
    Column("data", JSON, nullable=False),
    Index("ix_events_post", "post_id", "seq"),
)

workers = Table(
    "workers",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("host", Text, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("started_at", Moment, nullable=False),
    Column("heartbeat_at", Moment, nullable=False),
    Column("stopping", Boolean, nullable=False, server_default=text("false")),
)

leases = Table(
    "leases",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("holder", String(64), nullable=False),
    Column("expires_at", Moment, nullable=False),
)

# When a periodic duty last ran: arq's cron does not catch up what it missed.
duties = Table(
    "duties",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("ran_at", Moment, nullable=False),
)

media = Table(
    "media",
    metadata,
    Column("id", Id, primary_key=True),
    Column("sha256", String(64), nullable=False),
    Column("content_type", String(64), nullable=False),
    Column("filename", Text, nullable=False),
    Column("alt", Text, nullable=False),
    Column("width", Integer),
    Column("height", Integer),
    Column("size", BigInteger, nullable=False),
    Column("created_at", Moment, nullable=False),
    Index("ix_media_sha256", "sha256"),
)
