"""Which workers gave a sign of life."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import RowMapping, func, select, update

from scheduler.store.db import Database
from scheduler.store.tables import workers


async def heard_from(database: Database, since: int, until: int) -> Sequence[RowMapping]:
    """Workers last heard of between these (microseconds since 1970) that are not stopping."""
    statement = (
        select(workers)
        .where(workers.c.heartbeat_at.between(since, until), workers.c.stopping.is_(False))
        .order_by(workers.c.id)
    )
    async with database.read() as connection:
        return (await connection.execute(statement)).mappings().all()


async def signs(database: Database, since: int) -> dict[str, int]:
    """The last sign of life (microseconds since 1970) of each worker heard of at or after `since`
    that is not stopping."""
    statement = select(workers.c.id, workers.c.heartbeat_at).where(
        workers.c.heartbeat_at >= since, workers.c.stopping.is_(False)
    )
    async with database.read() as connection:
        return {row[0]: row[1] for row in await connection.execute(statement)}


async def leave(database: Database, worker: str) -> None:
    """It starts nothing more, and ends once what is under way does."""
    async with database.write() as connection:
        await connection.execute(
            update(workers).where(workers.c.id == worker).values(stopping=True)
        )


async def last_heartbeat(database: Database, until: int) -> int | None:
    """The newest heartbeat, `until` at most, of a worker that is not stopping (microseconds since
    1970): clocks are put back, and what comes from the future is no sign of life."""
    statement = select(func.max(workers.c.heartbeat_at)).where(
        workers.c.stopping.is_(False), workers.c.heartbeat_at <= until
    )
    async with database.read() as connection:
        found: int | None = (await connection.execute(statement)).scalar_one()
    return found
