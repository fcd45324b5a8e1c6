"""The API process's eye on the workers: when none is alive, nobody else can say so."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import structlog

from scheduler import metrics
from scheduler.clock import Clock
from scheduler.decide import SECOND
from scheduler.settings import Settings
from scheduler.store import claims
from scheduler.store.alerts import open_data, raise_alert, resolve
from scheduler.store.db import Database
from scheduler.teller import Teller

log = structlog.get_logger()

FACT = "workers:none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Watchman:
    """Raises and tells one alert while no worker is alive."""

    database: Database
    clock: Clock
    settings: Settings
    teller: Teller

    async def run(self) -> None:
        """Look until cancelled; workers get time to start before the first look."""
        while True:
            await asyncio.sleep(self.settings.worker_dead_after)
            try:
                await self.look()
            except Exception:  # the database is away: readiness says so
                log.exception("watchman.failed")
                metrics.DB_ERRORS.labels("watchman").inc()

    async def look(self) -> None:
        """Once."""
        now = self.clock.micros()
        dead_after = int(self.settings.worker_dead_after * SECOND)
        alive = await claims.alive(self.database, now=now, within_us=dead_after)
        async with self.database.write() as connection:
            if alive:
                await resolve(connection, FACT, now)
                return
            if await open_data(connection, FACT) is None:
                await raise_alert(
                    connection,
                    self.database,
                    fact=FACT,
                    kind="workers.none",
                    severity="critical",
                    data={
                        "cause": f"no sign of life for {self.settings.worker_dead_after:g} s",
                        "action": "start a worker: estafette worker",
                    },
                    now=now,
                )
        await self.teller.round()
