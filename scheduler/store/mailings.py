"""What a mailing leaves beside its recipients: its page, its clicks, its figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, RowMapping, exists, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from scheduler.audience.tracking import Kind, kinds_in
from scheduler.store.audience import Standing
from scheduler.store.audience_tables import clicks, letters, lists, memberships, recipients
from scheduler.store.db import Database
from scheduler.store.recipients import UNCHOSEN, RecipientState
from scheduler.store.tables import deliveries, posts
from scheduler.store.traces import link_of

_LEFT = (RecipientState.SENDING, RecipientState.ACCEPTED, RecipientState.UNCERTAIN)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What the list's owner wants of a mailing."""

    archive: bool
    clicks: bool
    tracking: frozenset[Kind] = frozenset()


async def wishes(connection: AsyncConnection, delivery_id: str, list_id: str) -> Wishes:
    """A mailing to a segment gets no page: it is for those alone."""
    row = (
        await connection.execute(
            select(lists.c.archive, lists.c.clicks, lists.c.tracking).where(lists.c.id == list_id)
        )
    ).one_or_none()
    content = (
        await connection.execute(
            select(posts.c.content)
            .join(deliveries, deliveries.c.post_id == posts.c.id)
            .where(deliveries.c.id == delivery_id)
        )
    ).scalar_one_or_none()
    if row is None:
        return Wishes(archive=False, clicks=False)
    return Wishes(
        archive=row.archive and not (content or {}).get("to"),
        clicks=row.clicks,
        tracking=kinds_in(row.tracking),
    )


async def keep_letter(
    connection: AsyncConnection, database: Database, values: Mapping[str, Any], *, slug: str
) -> str:
    """Store a mailing's page unless it has one; its slug, `wanted`, `wanted-2`, … in its list."""
    statement = select(letters.c.slug).where(letters.c.delivery_id == values["delivery_id"])
    wanted, number = slug, 1
    while True:
        known: str | None = (await connection.execute(statement)).scalar_one_or_none()
        if known is not None:
            return known
        made = (
            database.insert(letters)
            .values(**values, slug=slug)
            .on_conflict_do_nothing()
            .returning(letters.c.slug)
        )
        if (await connection.execute(made)).first() is not None:
            return slug
        number += 1
        slug = f"{wanted}-{number}"


def _out() -> ColumnElement[bool]:
    """Somebody has the mailing, or may have: one that was cancelled before anybody got it, or that
    waits for its relay, is nobody's to read yet."""
    return exists().where(
        recipients.c.delivery_id == letters.c.delivery_id, recipients.c.state.in_(_LEFT)
    )


async def letter(connection: AsyncConnection, list_id: str, slug: str) -> RowMapping | None:
    """A page with its list's `indexed`, taken down or not; None when there is none, when nobody
    got the mailing yet, or the list has no archive."""
    statement = (
        select(letters, lists.c.indexed)
        .join(lists, lists.c.id == letters.c.list_id)
        .where(letters.c.list_id == list_id, letters.c.slug == slug, lists.c.archive, _out())
    )
    return (await connection.execute(statement)).mappings().one_or_none()


async def letters_of(
    connection: AsyncConnection, list_id: str, *, limit: int
) -> Sequence[RowMapping]:
    """Slug, title and moment of a list's pages, newest first."""
    statement = (
        select(letters.c.slug, letters.c.title, letters.c.language, letters.c.published_at)
        .where(letters.c.list_id == list_id, letters.c.withdrawn_at.is_(None), _out())
        .order_by(letters.c.published_at.desc(), letters.c.delivery_id)
        .limit(limit)
    )
    return (await connection.execute(statement)).mappings().all()


async def click(
    connection: AsyncConnection, database: Database, delivery_id: str, url: str
) -> None:
    """Count one; who it was is not known here."""
    row = {
        "delivery_id": delivery_id,
        "link": link_of(url),
        "url": url,
        "count": 1,
    }
    await connection.execute(
        database.insert(clicks)
        .values(row)
        .on_conflict_do_update(
            index_elements=["delivery_id", "link"], set_={"count": clicks.c.count + 1}
        )
    )


async def clicks_of(connection: AsyncConnection, delivery_id: str) -> Sequence[RowMapping]:
    """`url` and `count` of each link, most clicked first."""
    statement = (
        select(clicks.c.url, clicks.c.count)
        .where(clicks.c.delivery_id == delivery_id)
        .order_by(clicks.c.count.desc(), clicks.c.url)
    )
    return (await connection.execute(statement)).mappings().all()


async def page_slug(connection: AsyncConnection, delivery_id: str) -> str | None:
    """None when a mailing has no page, or none any more."""
    statement = select(letters.c.slug).where(
        letters.c.delivery_id == delivery_id, letters.c.withdrawn_at.is_(None)
    )
    slug: str | None = (await connection.execute(statement)).scalar_one_or_none()
    return slug


async def with_pages(
    connection: AsyncConnection, rows: Sequence[Mapping[Any, Any]]
) -> list[dict[Any, Any]]:
    """These deliveries, each with `paged`: whether the page of its mailing is there to be read."""
    statement = select(letters.c.delivery_id).where(
        letters.c.delivery_id.in_([row["id"] for row in rows]),
        letters.c.withdrawn_at.is_(None),
        _out(),
    )
    paged = set((await connection.execute(statement)).scalars())
    return [{**row, "paged": row["id"] in paged} for row in rows]


async def take_down(connection: AsyncConnection, delivery_id: str, now: int) -> bool:
    """The page of a mailing is there for nobody any more; False when that was so before."""
    statement = (
        update(letters)
        .where(letters.c.delivery_id == delivery_id, letters.c.withdrawn_at.is_(None))
        .values(withdrawn_at=now)
    )
    return bool((await connection.execute(statement)).rowcount)


async def correct(connection: AsyncConnection, delivery_id: str, values: Mapping[str, Any]) -> None:
    """Other words for a page, at the same address. `values`: `title`, `language`, `html`."""
    await connection.execute(
        update(letters).where(letters.c.delivery_id == delivery_id).values(values)
    )


async def left_after(connection: AsyncConnection, delivery_id: str, account_id: str) -> int:
    """How many left the list with this mailing as the last of it that they got."""
    later, other = recipients.alias("later"), deliveries.alias("other")
    again = exists(
        select(later.c.contact_id)
        .join(other, other.c.id == later.c.delivery_id)
        .where(
            later.c.contact_id == recipients.c.contact_id,
            later.c.state == RecipientState.ACCEPTED,
            other.c.account_id == account_id,
            later.c.updated_at > recipients.c.updated_at,
            later.c.updated_at <= memberships.c.since,
        )
    )
    statement = (
        select(func.count())
        .select_from(recipients)
        .join(memberships, memberships.c.contact_id == recipients.c.contact_id)
        .where(
            recipients.c.delivery_id == delivery_id,
            recipients.c.state == RecipientState.ACCEPTED,
            memberships.c.list_id == account_id,
            memberships.c.state == Standing.UNSUBSCRIBED,
            memberships.c.since >= recipients.c.updated_at,
            ~again,
        )
    )
    found: int = (await connection.execute(statement)).scalar_one()
    return found


async def recipients_of(
    connection: AsyncConnection,
    delivery_id: str,
    *,
    state: str | None,
    after: str | None,
    limit: int,
) -> Sequence[RowMapping]:
    """Who it was for and what became of it, by contact id."""
    statement = select(
        recipients.c.contact_id, recipients.c.address, recipients.c.state, recipients.c.code,
        recipients.c.detail, recipients.c.tries, recipients.c.updated_at, recipients.c.later,
        recipients.c.arrived_at,
    ).where(recipients.c.delivery_id == delivery_id)  # fmt: skip
    if state is not None:
        statement = statement.where(recipients.c.state == state)
    statement = statement.where(recipients.c.contact_id > (after or UNCHOSEN))
    statement = statement.order_by(recipients.c.contact_id).limit(limit)
    return (await connection.execute(statement)).mappings().all()
