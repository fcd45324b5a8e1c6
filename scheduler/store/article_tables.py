"""Tables of articles: the pages of the built-in blog, and what other channels point to."""

from __future__ import annotations

from sqlalchemy import JSON, Column, Index, String, Table, Text

from scheduler.store.tables import Id, Moment, metadata

pages = Table(
    "pages",
    metadata,
    Column("key", String(64), primary_key=True),
    Column("account_id", Id, nullable=False),
    Column("post_id", Id, nullable=False),
    Column("slug", String(200), nullable=False, unique=True),
    Column("title", Text, nullable=False),
    Column("html", Text, nullable=False),
    Column("summary", Text, nullable=False),
    Column("language", String(16), nullable=False),
    Column("tags", JSON, nullable=False),
    Column("media", JSON, nullable=False),
    Column("published_at", Moment, nullable=False),
    Column("updated_at", Moment, nullable=False),
    Column("withdrawn_at", Moment),
    Index("ix_pages_published", "published_at"),
)

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
