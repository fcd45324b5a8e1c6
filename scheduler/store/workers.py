"""Which workers gave a sign of life."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import RowMapping, func, select

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


async def last_heartbeat(database: Database, until: int) -> int | None:
    """The newest heartbeat, `until` at most, of a worker that is not stopping (microseconds since
    1970): clocks are put back, and what comes from the future is no sign of life."""
    statement = select(func.max(workers.c.heartbeat_at)).where(
        workers.c.stopping.is_(False), workers.c.heartbeat_at <= until
    )
    async with database.read() as connection:
        found: int | None = (await connection.execute(statement)).scalar_one()
    return found
