"""Articles of posts, and which of them a delivery's words named."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import delete, select

from channels.posts import Part
from scheduler.deliveries import Delivery, State
from scheduler.store.article_tables import pointers
from scheduler.store.claims import CHUNK, to_delivery
from scheduler.store.db import Database
from scheduler.store.tables import accounts, deliveries

# Where readers find a post's article, or will at its time.
_STANDS = (State.SCHEDULED, State.ARMED, State.SENDING, State.DELIVERED)
_COMING = frozenset(_STANDS[:3]) | {State.ACCEPTED, State.UNCONFIRMED}


async def articles_of(
    database: Database, post_ids: Iterable[str], adapters: Sequence[str]
) -> list[Delivery]:
    """The posts' deliveries to accounts of these adapters that stand or are on their way."""
    wanted = sorted(set(post_ids))
    found: list[Delivery] = []
    async with database.read() as connection:
        for start in range(0, len(wanted), CHUNK):
            statement = (
                select(deliveries)
                .join(accounts, accounts.c.id == deliveries.c.account_id)
                .where(
                    deliveries.c.post_id.in_(wanted[start : start + CHUNK]),
                    deliveries.c.part == Part.POST,
                    deliveries.c.state.in_(_STANDS),
                    deliveries.c.withdrawn_at.is_(None),
                    accounts.c.adapter.in_(adapters),
                )
                .order_by(deliveries.c.due_at, deliveries.c.id)
            )
            rows = (await connection.execute(statement)).mappings()
            found += [to_delivery(row) for row in rows]
    return found


class Article(NamedTuple):
    """`coming`: it may stand in a moment."""

    stands: bool
    coming: bool


async def articles_now(database: Database, delivery_ids: Collection[str]) -> dict[str, Article]:
    """How far these articles are, each of which was on its way."""
    if not delivery_ids:
        return {}
    statement = select(deliveries.c.id, deliveries.c.state).where(
        deliveries.c.id.in_(sorted(delivery_ids)), deliveries.c.withdrawn_at.is_(None)
    )
    async with database.read() as connection:
        rows = (await connection.execute(statement)).all()
    found = {row.id: Article(row.state == State.DELIVERED, row.state in _COMING) for row in rows}
    return {name: found.get(name, Article(stands=False, coming=False)) for name in delivery_ids}


async def remember(
    database: Database, named: Mapping[str, str], unnamed: Sequence[str], *, now: int
) -> None:
    """Which article (its address) these deliveries' words name, and which deliveries name none."""
    rows = [{"delivery_id": name, "url": url, "at": now} for name, url in named.items()]
    async with database.write() as connection:
        if rows:
            insert = database.insert(pointers)
            update = {"url": insert.excluded.url, "at": insert.excluded.at}
            await connection.execute(
                insert.on_conflict_do_update(index_elements=["delivery_id"], set_=update), rows
            )
        for start in range(0, len(unnamed), CHUNK):
            some = unnamed[start : start + CHUNK]
            await connection.execute(delete(pointers).where(pointers.c.delivery_id.in_(some)))


async def remembered(database: Database, delivery_id: str) -> str | None:
    """The article that this delivery's words named."""
    statement = select(pointers.c.url).where(pointers.c.delivery_id == delivery_id)
    async with database.read() as connection:
        url: str | None = (await connection.execute(statement)).scalar_one_or_none()
    return url
