"""Tables of plan B: digests of rerouted posts, drills, and how many eggs lie in one basket."""

from __future__ import annotations

from sqlalchemy import JSON, Boolean, Column, ForeignKey, Index, String, Table, UniqueConstraint

from scheduler.store.tables import Id, Moment, metadata

# One row a digest delivery. `slot` is the moment it was planned for: one digest an account and
# slot, whatever happens to it later.
digests = Table(
    "digests",
    metadata,
    Column("delivery_id", Id, ForeignKey("deliveries.id"), primary_key=True),
    Column("account_id", Id, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("slot", Moment, nullable=False),
    Column("created_at", Moment, nullable=False),
    UniqueConstraint("account_id", "kind", "slot", name="uq_digests_slot"),
)

# What a digest gathers: the deliveries that could not go out by their own road.
digest_items = Table(
    "digest_items",
    metadata,
    Column("delivery_id", Id, ForeignKey("digests.delivery_id"), primary_key=True),
    Column("parent_id", Id, primary_key=True),
    Column("post_id", Id, nullable=False),
    Column("created_at", Moment, nullable=False),
    Index("ix_digest_items_parent", "parent_id"),
    Index("ix_digest_items_post", "post_id"),
)

drills = Table(
    "drills",
    metadata,
    Column("id", Id, primary_key=True),
    Column("account_id", Id, nullable=False),
    Column("live", Boolean, nullable=False),
    Column("actor", String(64), nullable=False),
    Column("report", JSON, nullable=False),
    Column("at", Moment, nullable=False),
    Index("ix_drills_at", "at"),
)

# One report a day, for the trend.
baskets = Table(
    "baskets",
    metadata,
    Column("day", String(10), primary_key=True),
    Column("report", JSON, nullable=False),
    Column("at", Moment, nullable=False),
)
