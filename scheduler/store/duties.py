"""When periodic duties last ran, so that what was missed is caught up."""

from __future__ import annotations

from sqlalchemy import select

from scheduler.store.db import Database
from scheduler.store.tables import duties


async def last_ran(database: Database, name: str) -> int | None:
    """When the duty was last done, None if never."""
    statement = select(duties.c.ran_at).where(duties.c.name == name)
    async with database.read() as connection:
        ran_at: int | None = (await connection.execute(statement)).scalar_one_or_none()
    return ran_at


async def is_due(database: Database, name: str, *, every_us: int, now: int) -> bool:
    """Whether the duty has not run within this period (microseconds)."""
    ran_at = await last_ran(database, name)
    return ran_at is None or not now - every_us < ran_at <= now


async def ran(database: Database, name: str, now: int) -> None:
    """Note that the duty was done at `now`."""
    statement = database.insert(duties).values(name=name, ran_at=now)
    async with database.write() as connection:
        await connection.execute(
            statement.on_conflict_do_update(index_elements=["name"], set_={"ran_at": now})
        )
