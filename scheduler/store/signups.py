"""Sign-ups of the last hour, counted for all processes; forgotten afterwards."""

from __future__ import annotations

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

from scheduler.store.audience_tables import lists, signups
from scheduler.store.db import Database


async def hold(connection: AsyncConnection, database: Database, list_id: str) -> None:
    """Until the transaction ends nobody else is counted for this list: two who come at once would
    not see one another."""
    if database.is_postgresql:  # on SQLite one transaction writes at a time
        statement = select(lists.c.id).where(lists.c.id == list_id).with_for_update(key_share=True)
        await connection.execute(statement)


async def counted(
    connection: AsyncConnection, *, list_id: str, visitor: str, address: str, since: int
) -> bool:
    """Whether this very sign-up has been counted since then."""
    statement = select(signups.c.at).where(
        signups.c.list_id == list_id,
        signups.c.visitor == visitor,
        signups.c.address == address,
        signups.c.at > since,
    )
    return (await connection.execute(statement)).first() is not None


async def latest(
    connection: AsyncConnection, *, list_id: str, visitor: str | None, since: int, number: int
) -> int | None:
    """When the last but `number - 1` came since then, for a list or from one `visitor` for it;
    None when there were fewer."""
    statement = (
        select(signups.c.at)
        .where(signups.c.list_id == list_id, signups.c.at > since)
        .order_by(signups.c.at.desc())
        .offset(number - 1)
        .limit(1)
    )
    if visitor is not None:
        statement = statement.where(signups.c.visitor == visitor)
    found: int | None = (await connection.execute(statement)).scalar_one_or_none()
    return found


async def count(
    connection: AsyncConnection,
    database: Database,
    *,
    list_id: str,
    visitor: str,
    address: str,
    now: int,
) -> None:
    values = {"list_id": list_id, "visitor": visitor, "address": address, "at": now}
    await connection.execute(
        database.insert(signups)
        .values(values)
        .on_conflict_do_update(index_elements=["list_id", "visitor", "address"], set_={"at": now})
    )


async def forget(connection: AsyncConnection, *, before: int) -> None:
    await connection.execute(delete(signups).where(signups.c.at <= before))
