"""Everything the audience is, as plain rows: out for a copy, and back into an empty audience."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Table, func, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from scheduler.store.audience_tables import (
    addresses,
    consents,
    contacts,
    lists,
    memberships,
    segments,
    suppressions,
)
from scheduler.store.contacts import ERASED
from scheduler.store.db import Database

CHUNK = 250  # what is read and written out between two turns of the loop
# In the order that foreign keys want; the never-again list last, as it may grow meanwhile. A
# consent's number is the database's own.
TABLES: Final[Mapping[str, Table]] = {
    one.name: one
    for one in (lists, segments, contacts, addresses, memberships, consents, suppressions)
}
_OWN_NUMBERS = {"consents": "id"}


async def rows(database: Database, name: str) -> AsyncIterator[Sequence[dict[str, Any]]]:
    """The rows of one table, some at a time, in the order of their keys."""
    table = TABLES[name]
    key = list(table.primary_key.columns)
    after: tuple[Any, ...] | None = None
    while True:
        statement = select(table).order_by(*key).limit(CHUNK)
        if after is not None:
            statement = statement.where(tuple_(*key) > after)
        async with database.read() as connection:
            found = (await connection.execute(statement)).mappings().all()
        if found:
            yield [dict(row) for row in found]
        if len(found) < CHUNK:
            return
        after = tuple(found[-1][column.name] for column in key)


async def anybody(connection: AsyncConnection) -> bool:
    """Whether there are contacts already."""
    return (await connection.execute(select(contacts.c.id).limit(1))).first() is not None


async def there(
    database: Database, connection: AsyncConnection, name: str, ids: Collection[str]
) -> set[str]:
    """Which of these ids the table has. Error: KeyError for a table that is none of `TABLES`."""
    key = TABLES[name].c.id
    found = await connection.execute(select(key).where(key.in_(database.each(ids))))
    return set(found.scalars())


async def erased(connection: AsyncConnection) -> set[str]:
    """The keyed hashes of addresses whose owners had themselves erased."""
    statement = select(suppressions.c.hash).where(suppressions.c.reason == ERASED)
    return set((await connection.execute(statement)).scalars())


async def barred(connection: AsyncConnection) -> int:
    """How many addresses are on the never-again list."""
    found: int = (
        await connection.execute(select(func.count()).select_from(suppressions))
    ).scalar_one()
    return found


async def put(
    database: Database, connection: AsyncConnection, name: str, some: Collection[Mapping[str, Any]]
) -> None:
    """Put rows back; what is there already (a list, a suppression) stays as it is.
    Error: KeyError for a table that is none of `TABLES`."""
    table = TABLES[name]
    mine = _OWN_NUMBERS.get(name)
    kept = [
        {column: value for column, value in row.items() if column in table.c and column != mine}
        for row in some
    ]
    if kept:
        await connection.execute(database.insert(table).on_conflict_do_nothing(), kept)
