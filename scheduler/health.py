"""Health of accounts: probes, visits, and the two-step confirmation that a page is gone.

A page counts as vanished only when a probe says so with a live credential, and says so again some
time later. One bad probe never starts plan B.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import structlog

from channels.abilities import HasPage
from channels.base import Account, Channel
from channels.http import HttpClient
from channels.outcome import Health, HealthStatus
from scheduler.clock import Clock, micros
from scheduler.decide import SECOND
from scheduler.diagnosis import Verdict, as_seen, weigh
from scheduler.plan_b import PlanB
from scheduler.policy import watch_of
from scheduler.roster import Member, Roster
from scheduler.settings import Settings
from scheduler.store import absences
from scheduler.store import health as store
from scheduler.store.db import Database
from scheduler.visit import Visits, visit

log = structlog.get_logger()

PROBE_TIMEOUT = 30.0
AT_ONCE = 4  # probes of one channel
# An account in doubt whose platform does not answer is asked again no more often.
SECOND_LOOK_GAP = 60 * SECOND
_WORTH_A_VISIT = {HealthStatus.HEALTHY, HealthStatus.DEGRADED, HealthStatus.VANISHED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Doctor:
    """Probes accounts and acts on what it learns. One per worker. `hurried`: a second look may
    confirm the first at once (drills)."""

    database: Database
    roster: Roster
    clock: Clock
    http: HttpClient
    settings: Settings
    plan_b: PlanB
    actor: str
    hurried: bool = False

    async def probe(self, account_id: str) -> Health | None:
        """Look at one account now; None when there is none, or it cannot be opened: then its owner
        is told."""
        member = (await self.roster.members([account_id])).get(account_id)
        if member is None:
            if why := self.roster.closed(account_id):
                await store.report_closed(self.database, account_id, why, self.clock.micros())
            return None
        said = await examine(member.channel, member.account)
        visits = await self._visit(member, said)
        watch = watch_of(member.policy, self.settings)
        health = as_seen(said, visits, hidden_is_gone=watch.hidden_is_gone)
        patience = 0 if self.hurried else watch.confirm_after_us
        await self._act(member, health, visits, patience)
        return health

    async def look_at_suspects(self) -> None:
        """Probe the accounts in doubt: at once, and again when their second look has come."""
        now = self.clock.micros()
        due = []
        for row in await store.suspects(self.database):
            confirm = watch_of(row["policy"], self.settings).confirm_after_us
            looked_at = row["checked_at"] or 0
            gap = min(confirm, SECOND_LOOK_GAP)
            first = looked_at < row["suspected_at"]
            second = row["suspected_at"] <= now - confirm and looked_at <= now - gap
            if first or second:
                due.append(row["id"])
        await self._probe_all(due)

    async def look_at_everyone(self) -> None:
        """Probe the accounts whose next look has come, so that trouble shows on a calm day."""
        now = self.clock.micros()
        await self._probe_all(
            row["id"]
            for row in await store.last_looks(self.database)
            if (row["checked_at"] or 0)
            < now - watch_of(row["policy"], self.settings).probe_every_us
        )

    async def finish_plan_b(self) -> None:
        """Move what is left of the queues of vanished accounts: posts that came later, or that a
        stopped worker left behind."""
        for account_id in await absences.vanished_with_queue(self.database):
            member = (await self.roster.members([account_id])).get(account_id)
            if member is not None:
                try:
                    await self._move(member)
                except Exception:  # one account's trouble is not the others'
                    log.exception("plan-b.failed", account=account_id)

    async def _probe_all(self, account_ids: Iterable[str]) -> None:
        """A platform that hangs keeps its own accounts waiting, and no others."""
        ids = list(account_ids)
        members = await self.roster.members(ids)
        rooms: dict[str, asyncio.Semaphore] = {}

        async def one(account_id: str) -> None:
            member = members.get(account_id)
            channel = account_id if member is None else member.channel.name
            async with rooms.setdefault(channel, asyncio.Semaphore(AT_ONCE)):
                try:
                    await self.probe(account_id)
                except Exception:  # one account's trouble is not the others'
                    log.exception("probe.failed", account=account_id)

        async with asyncio.TaskGroup() as group:
            for account_id in ids:
                group.create_task(one(account_id))

    async def _visit(self, member: Member, said: Health) -> Visits | None:
        if said.status not in _WORTH_A_VISIT or not isinstance(member.channel, HasPage):
            return None
        url = member.channel.public_url(member.account)
        return None if url is None else await visit(self.http, url)

    async def _act(
        self, member: Member, health: Health, visits: Visits | None, confirm_after_us: int
    ) -> None:
        now = self.clock.micros()
        verdict = await store.judge_and_mark(
            self.database,
            member.id,
            health,
            now=now,
            weigh=lambda known: weigh(health, known, now=now, confirm_after_us=confirm_after_us),
            visits=[] if visits is None else [asdict(visits.desktop), asdict(visits.phone)],
            expires_at=None if health.expires_at is None else micros(health.expires_at),
            actor=self.actor,
        )
        log.info("account.probed", account=member.id, status=health.status, verdict=verdict.value)
        if verdict is Verdict.VANISHED:
            await self._move(member)

    async def _move(self, member: Member) -> None:
        row = await store.standing(self.database, member.id)
        await self.plan_b.move_queue(
            member.id, f"{member.account.name} is unreachable: {row['status_detail']}"
        )
        await absences.report_vanished(
            self.database,
            member.id,
            detail=row["status_detail"],
            since=row["status_since"],
            now=self.clock.micros(),
        )


async def examine(channel: Channel, account: Account[Any]) -> Health:
    """The adapter's probe; whatever goes wrong in it says nothing about the page."""
    try:
        async with asyncio.timeout(PROBE_TIMEOUT):
            return await channel.probe(account)
    except TimeoutError:
        detail = f"no answer within {PROBE_TIMEOUT:g} s"
        return Health(status=HealthStatus.PLATFORM_DOWN, detail=detail)
    except Exception as error:
        log.exception("probe.failed", account=account.id)
        detail = f"the probe failed ({type(error).__name__})"
        return Health(status=HealthStatus.PLATFORM_DOWN, detail=detail)
