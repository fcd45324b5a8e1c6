"""Recurrences: what comes round again, and how far it is planned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import RowMapping, insert, select, tuple_, update

from scheduler.store.campaign_tables import campaigns, recurrences
from scheduler.store.db import Connection, Database


async def add(connection: Connection, row: Mapping[str, Any]) -> None:
    """Store a recurrence (a full row)."""
    await connection.execute(insert(recurrences), row)


async def get(
    connection: Connection, recurrence_id: str, *, lock: bool = False
) -> RowMapping | None:
    """The recurrence's row; `lock`: nobody else changes it until this transaction ends."""
    statement = select(recurrences).where(recurrences.c.id == recurrence_id)
    if lock:
        statement = statement.with_for_update()
    return (await connection.execute(statement)).mappings().one_or_none()


async def running(database: Database) -> Sequence[str]:
    """The ids of those that have not been ended."""
    statement = select(recurrences.c.id).where(recurrences.c.ended_at.is_(None))
    async with database.read() as connection:
        rows = await connection.execute(statement.order_by(recurrences.c.id))
        return rows.scalars().all()


async def page(
    connection: Connection, *, after: tuple[int, str] | None, limit: int
) -> Sequence[RowMapping]:
    """Recurrences, newest first; `after` is the (created_at, id) that the last page ended with."""
    statement = select(recurrences)
    if after is not None:
        statement = statement.where(tuple_(recurrences.c.created_at, recurrences.c.id) < after)
    order = (recurrences.c.created_at.desc(), recurrences.c.id.desc())
    return (await connection.execute(statement.order_by(*order).limit(limit))).mappings().all()


async def change(connection: Connection, recurrence_id: str, values: Mapping[str, Any]) -> None:
    await connection.execute(
        update(recurrences).where(recurrences.c.id == recurrence_id).values(**values)
    )


async def campaigns_of(connection: Connection, recurrence_id: str) -> Sequence[RowMapping]:
    """The campaigns of its occurrences that are not cancelled, locked, in a fixed order."""
    statement = (
        select(campaigns)
        .where(campaigns.c.recurrence_id == recurrence_id, campaigns.c.cancelled_at.is_(None))
        .order_by(campaigns.c.id)
        .with_for_update()
    )
    return (await connection.execute(statement)).mappings().all()
