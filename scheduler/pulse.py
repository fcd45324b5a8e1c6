"""Whether the database answers, and how fast: each process that needs it says so for itself."""

from __future__ import annotations

import asyncio
from time import perf_counter

from scheduler import metrics
from scheduler.ending import within
from scheduler.limits import FOREVER
from scheduler.store.db import Database
from scheduler.store.workers import last_heartbeat

EVERY = 5.0
ANSWER_WITHIN = 3.0


async def feel(database: Database) -> bool:
    """One read; what it came to is in the metrics."""
    begun = perf_counter()
    try:
        await within(ANSWER_WITHIN, last_heartbeat(database, FOREVER))
    except Exception:  # noqa: BLE001 -- whatever the driver raises; whoever needed it logs it
        metrics.DB_UP.set(0)
        return False
    metrics.DB_UP.set(1)
    metrics.DB_ANSWER.set(perf_counter() - begun)
    return True


async def run(database: Database) -> None:
    """Until cancelled."""
    while True:
        await feel(database)
        await asyncio.sleep(EVERY)
