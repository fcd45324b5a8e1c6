"""Lists: what people sign up for. The list of an account has the account's id."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import uuid_utils
from sqlalchemy import RowMapping, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from scheduler.store.audience_tables import lists, memberships
from scheduler.store.db import Database
from scheduler.store.tables import accounts


async def get(connection: AsyncConnection, list_id: str) -> RowMapping | None:
    statement = select(lists).where(lists.c.id == list_id)
    return (await connection.execute(statement)).mappings().one_or_none()


async def find(
    connection: AsyncConnection, database: Database, list_id: str, *, now: int
) -> RowMapping | None:
    """The list with this id; an account's is made when first asked for. None for an unknown id."""
    known = await get(connection, list_id)
    if known is not None:
        return known
    account = await connection.execute(
        select(accounts.c.name).where(accounts.c.id == list_id, accounts.c.archived_at.is_(None))
    )
    name = account.scalar_one_or_none()
    if name is None:
        return None
    row = {"id": list_id, "name": name, "language": "", "created_at": now}
    await connection.execute(database.insert(lists).values(row).on_conflict_do_nothing())
    return await get(connection, list_id)


async def listed(connection: AsyncConnection) -> Sequence[RowMapping]:
    """All lists, oldest first."""
    statement = select(lists).order_by(lists.c.created_at, lists.c.id)
    return (await connection.execute(statement)).mappings().all()


async def counts(
    connection: AsyncConnection, list_id: str | None = None
) -> dict[str, dict[str, int]]:
    """How many people are in each state, by list id, or of one list; it takes the longer, the more
    there are."""
    statement = select(memberships.c.list_id, memberships.c.state, func.count()).group_by(
        memberships.c.list_id, memberships.c.state
    )
    if list_id is not None:
        statement = statement.where(memberships.c.list_id == list_id)
    found: dict[str, dict[str, int]] = {}
    for one, state, count in await connection.execute(statement):
        found.setdefault(one, {})[state] = count
    return found


async def create(connection: AsyncConnection, values: Mapping[str, Any], *, now: int) -> str:
    """A new list's id. `values`: its columns but for id and time."""
    list_id = str(uuid_utils.uuid7())
    await connection.execute(insert(lists).values(**values, id=list_id, created_at=now))
    return list_id


async def change(connection: AsyncConnection, list_id: str, values: Mapping[str, Any]) -> None:
    if values:
        await connection.execute(update(lists).where(lists.c.id == list_id).values(**values))
