"""What the basket is counted from, and its history: one report a day."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import RowMapping, func, select

from channels.posts import Part
from scheduler.deliveries import Delivery, State
from scheduler.store.claims import to_delivery
from scheduler.store.db import Connection, Database
from scheduler.store.plan_b_tables import baskets
from scheduler.store.states import SCHEDULED
from scheduler.store.tables import accounts, deliveries


async def delivered_since(connection: Connection, moment: int) -> dict[str, int]:
    """How many deliveries each account carried since then, by when they last were due."""
    # A count an account, from its index alone: the table has all of history.
    carried = (
        select(func.count())
        .select_from(deliveries)
        .where(
            deliveries.c.account_id == accounts.c.id,
            deliveries.c.state == State.DELIVERED,
            deliveries.c.due_at >= moment,
        )
        .scalar_subquery()
    )
    rows = (await connection.execute(select(accounts.c.id, carried))).all()
    return {row[0]: row[1] for row in rows if row[1]}


async def connected(connection: Connection) -> Sequence[RowMapping]:
    """Connected accounts: `id, name, channel, audience`."""
    statement = (
        select(accounts.c.id, accounts.c.name, accounts.c.channel, accounts.c.audience)
        .where(accounts.c.archived_at.is_(None))
        .order_by(accounts.c.id)
    )
    return (await connection.execute(statement)).mappings().all()


async def waiting(connection: Connection, limit: int) -> list[Delivery]:
    """The next posts to go out, in their order."""
    statement = (
        select(deliveries)
        .where(SCHEDULED, deliveries.c.part == Part.POST)
        .order_by(deliveries.c.due_at, deliveries.c.id)
        .limit(limit)
    )
    return [to_delivery(row) for row in (await connection.execute(statement)).mappings()]


async def keep(database: Database, day: str, report: Mapping[str, Any], now: int) -> None:
    """The day's report; a later one of the same day replaces it."""
    statement = database.insert(baskets).values(day=day, report=dict(report), at=now)
    async with database.write() as connection:
        await connection.execute(
            statement.on_conflict_do_update(
                index_elements=["day"], set_={"report": dict(report), "at": now}
            )
        )


async def history(connection: Connection, days: int) -> Sequence[RowMapping]:
    """The last reports, oldest first: `day, report`."""
    statement = select(baskets.c.day, baskets.c.report).order_by(baskets.c.day.desc()).limit(days)
    return list(reversed((await connection.execute(statement)).mappings().all()))
