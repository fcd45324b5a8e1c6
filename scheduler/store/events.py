"""The journal of everything that happened: append-only, read by post, by account, by cursor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

from sqlalchemy import RowMapping, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from scheduler.store import history
from scheduler.store.bulk import Inserts, columns_of
from scheduler.store.db import Database
from scheduler.store.tables import events


class Event(TypedDict):
    """`at`: microseconds since 1970; `kind` such as `delivery.delivered`; `actor` who or what did
    it (`token:<name>`, `worker:<id>`); `data` plain JSON without secrets."""

    at: int
    kind: str
    actor: str
    post_id: str | None
    delivery_id: str | None
    account_id: str | None
    data: dict[str, Any]


COLUMNS = tuple(Event.__annotations__)
# Of an attempt whose lease was lost meanwhile.
STALE = "delivery.stale"

inserts = Inserts(events, COLUMNS)


def line(
    kind: str,
    at: int,
    actor: str,
    data: dict[str, Any] | None = None,
    *,
    post_id: str | None = None,
    account_id: str | None = None,
) -> Event:
    """A line of the journal that is about no single delivery (see `scheduler.changes.event`)."""
    return {
        "at": at,
        "kind": kind,
        "actor": actor,
        "post_id": post_id,
        "delivery_id": None,
        "account_id": account_id,
        "data": data or {},
    }


async def append(connection: AsyncConnection, rows: Sequence[Event]) -> None:
    """Add to the journal, in the transaction of what happened."""
    await inserts(connection, columns_of(rows, COLUMNS))


async def note_account(
    connection: AsyncConnection,
    kind: str,
    account_id: str,
    *,
    actor: str,
    now: int,
    data: dict[str, Any] | None = None,
) -> None:
    """Note what was done to an account, no post being concerned."""
    await append(connection, [line(kind, now, actor, data, account_id=account_id)])


async def after(database: Database, seq: int, *, limit: int = 500) -> Sequence[RowMapping]:
    """Events with a greater sequence number, oldest first."""
    statement = select(events).where(events.c.seq > seq).order_by(events.c.seq).limit(limit)
    async with database.read() as connection:
        return (await connection.execute(statement)).mappings().all()


async def last(database: Database) -> int:
    """The greatest sequence number, 0 when nothing has happened."""
    async with database.read() as connection:
        found = (await connection.execute(select(func.max(events.c.seq)))).scalar_one()
    return found or 0


async def of_post(database: Database, post_id: str) -> Sequence[Mapping[Any, Any]]:
    """A post's timeline, oldest first."""
    statement = select(events).where(events.c.post_id == post_id).order_by(events.c.seq)
    async with database.read() as connection:
        packed = await history.packed(connection, [post_id], "events")
        return [*packed, *(await connection.execute(statement)).mappings()]


async def newest(database: Database) -> int:
    """The greatest sequence number, 0 for an empty journal."""
    async with database.read() as connection:
        found = await connection.execute(select(func.max(events.c.seq)))
        return found.scalar_one() or 0
