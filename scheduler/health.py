"""Health of accounts: probes, and the two-step confirmation that a page is gone.

A page counts as vanished only when a probe says so with a live credential, and says so again some
time later. One bad probe never starts plan B.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import structlog

from channels.outcome import Health, HealthStatus
from scheduler.clock import Clock, micros
from scheduler.diagnosis import Verdict, weigh
from scheduler.limits import FOREVER
from scheduler.plan_b import PlanB
from scheduler.roster import Member, Roster
from scheduler.store import health as store
from scheduler.store.db import Database

log = structlog.get_logger()

PROBE_TIMEOUT = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Doctor:
    """Probes accounts and acts on what it learns. One per worker."""

    database: Database
    roster: Roster
    clock: Clock
    plan_b: PlanB
    confirm_after_us: int
    actor: str

    async def probe(self, account_id: str) -> Health | None:
        """Look at one account now; None when there is no such account."""
        member = (await self.roster.members([account_id])).get(account_id)
        if member is None:
            return None
        health = await _ask(member)
        await self._act(member, health)
        return health

    async def suspect(self, account_id: str) -> None:
        """A send was told that the page is gone: look at once, without a deadline on anyone."""
        await self.probe(account_id)

    async def look_at_suspects(self) -> None:
        """Probe again the accounts in doubt whose second look has come."""
        now = self.clock.micros()
        for account_id in await store.suspects(self.database, now - self.confirm_after_us):
            await self.probe(account_id)

    async def look_at_everyone(self, older_than_us: int) -> None:
        """Probe the accounts not looked at for that long, so that trouble shows on a calm day."""
        now = self.clock.micros()
        for account_id in await store.unseen_since(self.database, now - older_than_us):
            await self.probe(account_id)

    async def _act(self, member: Member, health: Health) -> None:
        now = self.clock.micros()
        verdict = await store.judge_and_mark(
            self.database,
            member.id,
            health,
            now=now,
            weigh=lambda status, suspected_at: weigh(
                health,
                status=status,
                suspected_at=suspected_at,
                now=now,
                confirm_after_us=self.confirm_after_us,
            ),
            expires_at=None if health.expires_at is None else micros(health.expires_at),
            actor=self.actor,
            forever=FOREVER,
        )
        log.info("account.probed", account=member.id, status=health.status, verdict=verdict.value)
        if verdict is Verdict.VANISHED:
            counts = await self.plan_b.move_queue(
                member.id, f"{member.account.name} is unreachable: {health.detail}"
            )
            await store.report_vanished(
                self.database,
                member.id,
                name=member.account.name,
                detail=health.detail,
                counts={state.value: count for state, count in counts.items()},
                now=self.clock.micros(),
            )


async def _ask(member: Member) -> Health:
    """The adapter's probe; whatever goes wrong in it says nothing about the page."""
    try:
        async with asyncio.timeout(PROBE_TIMEOUT):
            return await member.channel.probe(member.account)
    except TimeoutError:
        detail = f"no answer within {PROBE_TIMEOUT:g} s"
        return Health(status=HealthStatus.PLATFORM_DOWN, detail=detail)
    except Exception as error:
        log.exception("probe.failed", account=member.id)
        detail = f"the probe failed ({type(error).__name__})"
        return Health(status=HealthStatus.PLATFORM_DOWN, detail=detail)
