"""Lanes: how fast mails pass through a relay or to a domain, known to every worker and restart."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from scheduler.lanes import Lane
from scheduler.store.audience_tables import lanes
from scheduler.store.db import Database

_COLUMNS = (lanes.c.id, lanes.c.next_at, lanes.c.closed_until, lanes.c.strikes)


async def hold(
    database: Database, connection: AsyncConnection, ids: Collection[str]
) -> dict[str, Lane]:
    """These lanes, for this transaction alone."""
    if not ids:
        return {}
    fresh = [{"id": each, "next_at": 0, "closed_until": 0, "strikes": 0} for each in sorted(ids)]
    insert = database.insert(lanes).on_conflict_do_nothing(index_elements=["id"])
    await connection.execute(insert, fresh)
    statement = select(*_COLUMNS).where(lanes.c.id.in_(database.each(ids))).order_by(lanes.c.id)
    if database.is_postgresql:
        statement = statement.with_for_update()
    return {row[0]: Lane(*row) for row in await connection.execute(statement)}


async def closed(connection: AsyncConnection, now: int) -> dict[str, Lane]:
    """Lanes that are closed, or were and nothing has passed since."""
    statement = select(*_COLUMNS).where(or_(lanes.c.closed_until > now, lanes.c.strikes > 0))
    return {row[0]: Lane(*row) for row in await connection.execute(statement)}


async def save(database: Database, connection: AsyncConnection, kept: Iterable[Lane]) -> None:
    rows = [
        {
            "id": lane.id,
            "next_at": lane.next_at,
            "closed_until": lane.closed_until,
            "strikes": lane.strikes,
        }
        for lane in sorted(kept, key=lambda lane: lane.id)
    ]
    if rows:
        insert = database.insert(lanes)
        named = ("next_at", "closed_until", "strikes")
        await connection.execute(
            insert.on_conflict_do_update(
                index_elements=["id"], set_={name: insert.excluded[name] for name in named}
            ),
            rows,
        )
