"""Tables of articles that other channels point to."""

from __future__ import annotations

from sqlalchemy import Column, String, Table, Text

from scheduler.store.tables import Id, Moment, metadata

# Who has which address of the built-in blog, from before the page is there: short texts that
# leave at the same time name it. Kept for ever: readers were told.
slugs = Table(
    "slugs",
    metadata,
    Column("key", String(64), primary_key=True),
    Column("slug", String(200), nullable=False, unique=True),
    Column("at", Moment, nullable=False),
)

# The article that a delivery's words named as they were armed: looking for them needs the same.
pointers = Table(
    "pointers",
    metadata,
    Column("delivery_id", Id, primary_key=True),
    Column("url", Text, nullable=False),
    Column("at", Moment, nullable=False),
)
