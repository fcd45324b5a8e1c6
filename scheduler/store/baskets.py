"""What the basket is counted from, and its history: one report a day."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import RowMapping, func, select

from channels.posts import Part
from scheduler.deliveries import Delivery, State
from scheduler.store.claims import to_delivery
from scheduler.store.db import Connection, Database
from scheduler.store.plan_b_tables import baskets
from scheduler.store.states import SCHEDULED
from scheduler.store.tables import accounts, deliveries


class Carried(NamedTuple):
    """How many deliveries each account carried that were last due from `since` to before
    `until`."""

    since: int
    until: int
    counts: Mapping[str, int]


async def carried(connection: Connection, since: int, until: int) -> Carried:
    """Count them; it takes the longer, the more there were."""
    # A count an account, from its index alone: the table has all of history.
    counted = (
        select(func.count())
        .select_from(deliveries)
        .where(
            deliveries.c.account_id == accounts.c.id,
            deliveries.c.state == State.DELIVERED,
            deliveries.c.due_at >= since,
            deliveries.c.due_at < until,
        )
        .scalar_subquery()
    )
    rows = (await connection.execute(select(accounts.c.id, counted))).all()
    return Carried(since, until, {row[0]: row[1] for row in rows if row[1]})


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


async def keep(
    database: Database, day: str, report: Mapping[str, Any], counted: Carried, now: int
) -> None:
    """The day's report and what was counted for it; a later one of the same day replaces it."""
    told = {**report, "carried": counted._asdict()}
    statement = database.insert(baskets).values(day=day, report=told, at=now)
    async with database.write() as connection:
        await connection.execute(
            statement.on_conflict_do_update(
                index_elements=["day"], set_={"report": told, "at": now}
            )
        )


async def last_counted(connection: Connection, now: int) -> Carried | None:
    """What was counted for the last report; None before the first. One from the future stays for
    long where clocks were put back."""
    statement = (
        select(baskets.c.report).where(baskets.c.at <= now).order_by(baskets.c.day.desc()).limit(1)
    )
    report = (await connection.execute(statement)).scalar_one_or_none()
    return None if report is None or "carried" not in report else Carried(**report["carried"])


async def history(connection: Connection, days: int) -> Sequence[RowMapping]:
    """The last reports, oldest first: `day, report`."""
    statement = select(baskets.c.day, baskets.c.report).order_by(baskets.c.day.desc()).limit(days)
    return list(reversed((await connection.execute(statement)).mappings().all()))
