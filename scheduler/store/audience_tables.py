"""Tables of the audience: people, the proof of their consent, and who was written to."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
    false,
    true,
)

from scheduler.store.tables import Id, Moment, Serial, metadata

contacts = Table(
    "contacts",
    metadata,
    Column("id", Id, primary_key=True),
    Column("email", String(320), unique=True),
    Column("name", Text, nullable=False, server_default=""),
    Column("language", String(16), nullable=False, server_default=""),
    Column("attributes", JSON, nullable=False),
    Column("tags", JSON, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("updated_at", Moment, nullable=False),
    Column("contacted_at", Moment),
    Column("heard_at", Moment),
)

# Other addresses of the same person, such as a Messenger id; `writable_until` NULL: always.
addresses = Table(
    "addresses",
    metadata,
    Column("id", Id, primary_key=True),
    Column("contact_id", Id, ForeignKey("contacts.id"), nullable=False),
    Column("channel", String(32), nullable=False),
    Column("account_id", Id, nullable=False),
    Column("address", Text, nullable=False),
    Column("writable_until", Moment),
    Column("created_at", Moment, nullable=False),
    UniqueConstraint("account_id", "address", name="uq_addresses_address"),
    Index("ix_addresses_contact", "contact_id"),
    Index("ix_addresses_account", "account_id", "contact_id"),
)

lists = Table(
    "lists",
    metadata,
    Column("id", Id, primary_key=True),
    Column("name", Text, nullable=False),
    Column("description", Text, nullable=False, server_default=""),
    Column("language", String(16), nullable=False),
    # What people agree to when they sign up; empty: the sentence of the page in their language.
    Column("wording", Text, nullable=False, server_default=""),
    Column("open", Boolean, nullable=False, server_default=true()),
    # A page for each of its mailings; search engines may list them; clicks are counted.
    Column("archive", Boolean, nullable=False, server_default=false()),
    Column("indexed", Boolean, nullable=False, server_default=false()),
    Column("clicks", Boolean, nullable=False, server_default=false()),
    # What its readers may agree to beside (`scheduler.audience.tracking`).
    Column("tracking", String(32), nullable=False, server_default=""),
    Column("created_at", Moment, nullable=False),
)

memberships = Table(
    "memberships",
    metadata,
    Column("list_id", Id, ForeignKey("lists.id"), primary_key=True),
    Column("contact_id", Id, ForeignKey("contacts.id"), primary_key=True),
    Column("state", String(16), nullable=False),
    Column("since", Moment, nullable=False),
    Column("tracking", String(32), nullable=False, server_default=""),
    Index("ix_memberships_contact", "contact_id"),
    Index("ix_memberships_state", "state", "since"),
)

# Mails about a subscription itself, one of a kind at most; `sent_at` NULL: to be sent at `next_at`.
service_mails = Table(
    "service_mails",
    metadata,
    Column("list_id", Id, primary_key=True),
    Column("contact_id", Id, primary_key=True),
    Column("kind", String(16), primary_key=True),
    Column("language", String(16), nullable=False),
    Column("tries", Integer, nullable=False, server_default="0"),
    Column("next_at", Moment, nullable=False),
    Column("sent_at", Moment),
    Column("detail", Text, nullable=False, server_default=""),
    Index("ix_service_mails_due", "sent_at", "next_at"),
)

# Sign-ups of the last hour, to be counted: keyed hashes of the visitor's network (empty: it is
# nobody's own) and of the address.
signups = Table(
    "signups",
    metadata,
    Column("list_id", Id, primary_key=True),
    Column("visitor", String(64), primary_key=True),
    Column("address", String(64), primary_key=True),
    Column("at", Moment, nullable=False),
    Index("ix_signups_list", "list_id", "at"),
    Index("ix_signups_at", "at"),
)

# The page of a mailing; it shows nobody's data.
letters = Table(
    "letters",
    metadata,
    Column("delivery_id", Id, primary_key=True),
    Column("list_id", Id, nullable=False),
    Column("slug", String(128), nullable=False),
    Column("title", Text, nullable=False),
    Column("language", String(16), nullable=False),
    Column("html", Text, nullable=False),
    Column("published_at", Moment, nullable=False),
    Column("withdrawn_at", Moment),
    UniqueConstraint("list_id", "slug", name="uq_letters_slug"),
)

# How often a link of a mailing was followed; by whom is not known. `link`: a hash of the address.
clicks = Table(
    "clicks",
    metadata,
    Column("delivery_id", Id, primary_key=True),
    Column("link", String(32), primary_key=True),
    Column("url", Text, nullable=False),
    Column("count", Integer, nullable=False),
)

# Who followed a link (a hash of its address), or opened a mailing (`link` empty): of people who
# agreed to that, for as long as they do.
traces = Table(
    "traces",
    metadata,
    Column("delivery_id", Id, primary_key=True),
    Column("contact_id", Id, primary_key=True),
    Column("link", String(32), primary_key=True),
    Column("list_id", Id, nullable=False),
    Column("url", Text, nullable=False, server_default=""),
    Column("count", Integer, nullable=False),
    Column("first_at", Moment, nullable=False),
    Column("last_at", Moment, nullable=False),
    Index("ix_traces_contact", "contact_id", "list_id"),
)

# How far an import has come; moves in the transaction that stores the rows it speaks of.
imports = Table(
    "imports",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("list_id", Id, nullable=False),
    Column("progress", JSON, nullable=False),
    Column("started_at", Moment, nullable=False),
    Column("updated_at", Moment, nullable=False),
    Column("finished_at", Moment),
)

# Saved filters (`scheduler.audience.filters`).
segments = Table(
    "segments",
    metadata,
    Column("id", Id, primary_key=True),
    Column("name", Text, nullable=False),
    Column("filter", JSON, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("updated_at", Moment, nullable=False),
)

consents = Table(
    "consents",
    metadata,
    Column("id", Serial, primary_key=True, autoincrement=True),
    Column("contact_id", Id, nullable=False),
    Column("list_id", Id, nullable=False),
    Column("action", String(16), nullable=False),
    Column("form", Text, nullable=False, server_default=""),
    Column("wording", Text, nullable=False, server_default=""),
    Column("wording_version", String(32), nullable=False, server_default=""),
    Column("source", Text, nullable=False, server_default=""),
    Column("at", Moment, nullable=False),
    Column("confirmed_at", Moment),
    Index("ix_consents_contact", "contact_id", "id"),
)

# Keyed hashes of addresses: they survive the erasure of the person.
suppressions = Table(
    "suppressions",
    metadata,
    Column("hash", String(64), primary_key=True),
    Column("reason", String(32), nullable=False),
    Column("detail", Text, nullable=False, server_default=""),
    Column("at", Moment, nullable=False),
)

# How fast mails pass by a relay ("by host:port") and to a domain ("to example.org").
lanes = Table(
    "lanes",
    metadata,
    Column("id", String(320), primary_key=True),
    Column("next_at", Moment, nullable=False),
    Column("closed_until", Moment, nullable=False),
    Column("strikes", Integer, nullable=False),
)

recipients = Table(
    "recipients",
    metadata,
    Column("delivery_id", Id, primary_key=True),
    Column("contact_id", Id, primary_key=True),
    Column("address", Text, nullable=False),
    Column("state", String(16), nullable=False),
    Column("tries", Integer, nullable=False, server_default="0"),
    Column("next_at", Moment),
    Column("worker", String(64)),
    Column("code", String(64), nullable=False, server_default=""),
    Column("detail", Text, nullable=False, server_default=""),
    Column("updated_at", Moment, nullable=False),
    # What became of a mail that was accepted (`scheduler.store.afterwards`).
    Column("later", String(16), nullable=False, server_default=""),
    # When their own server took it, as far as the provider tells.
    Column("arrived_at", Moment),
    Index("ix_recipients_todo", "delivery_id", "state", "next_at"),
    Index("ix_recipients_contact", "contact_id", "delivery_id"),
)
