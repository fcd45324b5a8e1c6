"""Whether Redis answers. Losing it is an inconvenience, and still nobody is left to find out by
chance: a metric, an alert while it lasts, and the alert closed when it is back."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import structlog
from redis.exceptions import RedisError

from scheduler import metrics
from scheduler.clock import Clock
from scheduler.redis_pool import QUEUE, open_pool
from scheduler.settings import Settings
from scheduler.store.alerts import raise_alert, resolve
from scheduler.store.db import Database

log = structlog.get_logger()

FACT = "redis:lost"
EVERY = 5.0
_LOOKED = f"{QUEUE}:looked"
ANSWER_WITHIN = 3.0


async def unwell(url: str, settings: Settings) -> str:
    """Why this Redis is of no use, empty when it is well. One small write: a replica, or a server
    that is full, answers pings and takes nothing; one that hangs says nothing at all."""
    try:
        async with asyncio.timeout(ANSWER_WITHIN):
            pool = await open_pool(url, settings)
            try:
                await pool.set(_LOOKED, b"", px=1)
            finally:
                await pool.aclose()
    except (RedisError, OSError) as error:
        return type(error).__name__
    except Exception as error:  # a driver that stumbles must not end the looking
        log.exception("lookout.stumbled")
        return type(error).__name__
    return ""


async def watch(url: str, settings: Settings) -> None:
    """Measure it until cancelled, in a process that no worker lives in."""
    while True:
        metrics.REDIS_UP.set(not await unwell(url, settings))
        await asyncio.sleep(EVERY)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lookout:
    """Looks at one Redis."""

    database: Database
    clock: Clock
    settings: Settings
    url: str

    async def run(self) -> None:
        """Look until cancelled; writes only when something changed."""
        was: bool | None = None
        while True:
            answers = await self.answers()
            metrics.REDIS_UP.set(answers)
            if answers is not was:
                try:
                    await self.tell(lost=not answers)
                except Exception:  # the database may be away too: tell it at the next look
                    log.exception("lookout.failed")
                else:
                    was = answers
            await asyncio.sleep(EVERY)

    async def answers(self) -> bool:
        """Whether it is well."""
        return not await unwell(self.url, self.settings)

    async def tell(self, *, lost: bool) -> None:
        """Open the alert, or close it."""
        now = self.clock.micros()
        async with self.database.write() as connection:
            if not lost:
                await resolve(connection, FACT, now)
                return
            await raise_alert(
                connection,
                self.database,
                fact=FACT,
                kind="redis.lost",
                severity="warning",
                data={
                    "title": "Redis does not answer",
                    "cause": "Redis does not answer; publishing goes on from SQL alone",
                    "action": "start Redis again; nothing has to be repaired afterwards",
                },
                now=now,
            )
