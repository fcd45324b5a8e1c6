"""How many people follow each account, as its platform counts them: what the basket weighs, and a
drill says would be lost. A count never says anything about an account's health."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import cast

import structlog

from channels.abilities import Counts
from channels.outcome import HealthStatus
from scheduler.clock import Clock
from scheduler.decide import SECOND
from scheduler.roster import Member, Roster
from scheduler.store import audiences as store
from scheduler.store.db import Database
from scheduler.store.duties import last_ran, ran

log = structlog.get_logger()

EVERY = 6 * 3600 * SECOND  # followers come slowly, and some platforms count calls by the day
PATIENCE = 30.0
AT_ONCE = 4
_DUTY = "audiences"
_ANSWERS = frozenset({HealthStatus.HEALTHY, HealthStatus.DEGRADED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Census:
    """Counts followers. Only the leader calls `look`."""

    database: Database
    roster: Roster
    clock: Clock

    async def look(self) -> None:
        """Count everyone's now and then, and those of a new account at once."""
        now = self.clock.micros()
        before = await last_ran(self.database, _DUTY)
        due = before is None or not now - EVERY < before <= now
        new = await store.uncounted(self.database)
        everyone = (await self.roster.everyone()).values()
        chosen = [
            one
            for one in everyone
            if isinstance(one.channel, Counts)
            and one.status in _ANSWERS
            and (due or (one.id in new and new[one.id] > (before or 0)))
        ]
        if chosen:
            await self._count(chosen)
        if due or chosen:
            await ran(self.database, _DUTY, now)

    async def _count(self, members: list[Member]) -> None:
        room = asyncio.Semaphore(AT_ONCE)

        async def one(member: Member) -> tuple[str, int | None]:
            async with room:
                return member.id, await _followers(member)

        told = await asyncio.gather(*(one(member) for member in members))
        await store.note(self.database, {name: said for name, said in told if said is not None})


async def _followers(member: Member) -> int | None:
    """None when the platform does not say; whatever it says instead."""
    try:
        async with asyncio.timeout(PATIENCE):
            said = await cast("Counts", member.channel).followers(member.account)
    except Exception:
        log.exception("followers.failed", account=member.id)
        return None
    return said if said is None or 0 <= said < 2**31 else None
