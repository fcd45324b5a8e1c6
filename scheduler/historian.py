"""Packs away what is long over, a little at a time, so that the tables that are written to at
every send stay small; and forgets answers that nobody asks for again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog

from scheduler.clock import Clock
from scheduler.foresight import DAY
from scheduler.store import history, idempotency
from scheduler.store.db import Database

log = structlog.get_logger()

BATCH = 500  # attempts, or answers, a transaction: tens of milliseconds
REST = 0.1  # seconds between two, for others who write
KEYS_KEPT = 30 * DAY


@dataclass(frozen=True, slots=True, kw_only=True)
class Historian:
    """`after_us`: how long a post has to be over."""

    database: Database
    clock: Clock
    after_us: int

    async def round(self, leads: Callable[[], Awaitable[bool]]) -> int:
        """Pack everything that is old enough, while this worker leads; how many rows moved."""
        before = self.clock.micros() - self.after_us
        moved, place = 0, 0
        while await leads():
            over, following = await history.oldest(
                self.database, before=before, after=place, limit=BATCH
            )
            if over:
                moved += await history.pack(self.database, over, self.clock.micros())
            if following is None:
                break
            place = following
            await asyncio.sleep(REST)
        if moved:
            log.info("history.packed", rows=moved)
        await self._forget(leads)
        return moved

    async def _forget(self, leads: Callable[[], Awaitable[bool]]) -> None:
        while await leads():
            async with self.database.write() as connection:
                gone = await idempotency.forget(
                    connection, self.clock.micros() - KEYS_KEPT, limit=BATCH
                )
            if gone < BATCH:
                return
            await asyncio.sleep(REST)
