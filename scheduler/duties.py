"""What is done again and again beside sending: signs of life, rescue, probes.

Rescue and probes are the leader's, who holds a lease in SQL; every worker stands ready to take
it over.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from scheduler import metrics
from scheduler.audience.mails import Mailer
from scheduler.census import Census
from scheduler.clock import Clock
from scheduler.collecting import Collector
from scheduler.decide import SECOND
from scheduler.deliveries import State
from scheduler.dispatch import Dispatcher
from scheduler.foresight import Foresight
from scheduler.forsaken import Forsaken
from scheduler.health import Doctor
from scheduler.historian import Historian
from scheduler.recurring import Recurring
from scheduler.renewal import Renewer
from scheduler.returned import DAY
from scheduler.settings import Settings
from scheduler.store import absences, claims, rescue, roster, workers
from scheduler.store import duties as store
from scheduler.store.db import Database
from scheduler.teller import Teller
from scheduler.weighing import Scales

if TYPE_CHECKING:  # encrypts: only where copies are asked for
    from scheduler.copies import Copyist

log = structlog.get_logger()

SWEEP = 1.0
# Leases that ran out are seen within this: part of how long a killed worker's posts wait.
RESCUE = 0.5
LEADER_TERM = 5 * SECOND
WATCH_TERM = 60 * SECOND  # longer than a probe may take
EVERYONE_EVERY = 10
COUNT_EVERY = 10.0
COUNT_TERM = 60 * SECOND
COUNT_SHARE = 0.01  # of the time
# In rounds of the watch: a new installation is given a minute to connect its accounts.
FORESIGHT_EVERY = 600
FORESIGHT_FIRST = 60
RENEW_LOOK = 30.0
RENEW_TERM = 60 * SECOND
MAILBOX_LOOK = 5.0
FORSAKEN_LOOK = 15.0
MAILBOX_TERM = 120 * SECOND  # longer than reading all of them may take
COPY_LOOK = 30.0
COPY_TERM = 3600 * SECOND  # a copy of millions takes minutes; a dead leader's lease ends with it
PLAN_LOOK = 5.0
PLAN_EVERY = 600 * SECOND
PLAN_TERM = 60 * SECOND
HISTORY_LOOK = 300.0
HISTORY_EVERY = 6 * 3600 * SECOND
HISTORY_TERM = 60 * SECOND


@dataclass(frozen=True, slots=True, kw_only=True)
class Duties:
    """The loops of one worker; each outlives an absent database."""

    database: Database
    clock: Clock
    settings: Settings
    worker: str
    dispatcher: Dispatcher
    doctor: Doctor
    mailer: Mailer
    teller: Teller
    foresight: Foresight
    recurring: Recurring
    historian: Historian
    renewer: Renewer
    census: Census
    scales: Scales
    collector: Collector
    copyist: Copyist | None
    forsaken: Forsaken

    async def heartbeat(self) -> None:
        """Say that this worker lives, and learn who else does."""
        await _forever("heartbeat", self.settings.heartbeat_interval, self.beat)

    async def beat(self) -> None:
        """One sign of life. Needed before the first claim: who was never heard of counts as dead,
        and the leader would give its claims back."""
        now, said = self.clock.micros(), self.clock.monotonic()
        await claims.heartbeat(
            self.database, worker=self.worker, host=socket.gethostname(), pid=os.getpid(),
            started_at=now, now=now,
        )  # fmt: skip
        signs = await workers.signs(self.database, now - DAY)
        sharing = self.dispatcher.sharing
        if sharing.hear(signs, now=now, said=said):
            log.info("workers.heard", workers=sharing.workers, settled=sharing.settled)
        narrow: Iterable[tuple[str, int, int]] = ()
        if sharing.workers > 1:
            narrow = await roster.narrow(
                self.database, places=sharing.workers, failures=self.settings.breaker_failures
            )
        sharing.pass_over(narrow)
        self.dispatcher.shared()

    async def sweep(self) -> None:
        """The leader's rounds."""

        async def round_() -> None:
            if not await self._leads("sweep", LEADER_TERM):
                return
            now = self.clock.micros()
            back, doubtful = await rescue.rescue(
                self.database,
                now=now,
                dead_before=now - int(self.settings.worker_dead_after * SECOND),
                first_look=now + int(self.settings.send_timeout * SECOND),
            )
            if back or doubtful:
                metrics.RESCUED.labels("scheduled").inc(len(back))
                metrics.RESCUED.labels("unconfirmed").inc(len(doubtful))
                log.warning("rescued", given_back=len(back), in_doubt=len(doubtful))
                self.dispatcher.wake()

        await _forever("sweep", RESCUE, round_)

    async def count(self) -> None:
        """The leader's measure of the queue, apart from the rounds: a million planned posts take
        half a second to count. The more there are, the less often that is done."""
        again = 0.0

        async def measure() -> None:
            nonlocal again
            if not await self._leads("count", COUNT_TERM):
                metrics.QUEUE_DEPTH.clear()  # the leader's to say
                again = 0.0
                return
            for state, count in (await claims.depth(self.database)).items():
                metrics.QUEUE_DEPTH.labels(state).set(count)
            begun = self.clock.monotonic()
            if begun >= again:
                planned = await claims.planned(self.database)
                metrics.QUEUE_DEPTH.labels(State.SCHEDULED).set(planned)
                ended = self.clock.monotonic()
                again = ended + (ended - begun) / COUNT_SHARE

        await _forever("count", COUNT_EVERY, measure)

    async def watch(self) -> None:
        """The leader's eye on the accounts; apart from the rounds, because a platform that hangs
        must not keep a dead worker's posts waiting."""
        rounds = 0

        async def look() -> None:
            nonlocal rounds
            if not await self._leads("watch", WATCH_TERM):
                return
            await self.doctor.look_at_suspects()
            await self.doctor.finish_plan_b()
            if await absences.release_strays(self.database, self.clock.micros()):
                self.dispatcher.wake()
            if rounds % EVERYONE_EVERY == 0:
                await self.doctor.look_at_everyone()
            if rounds % FORESIGHT_EVERY == FORESIGHT_FIRST:
                await self.foresight.look()
                await self.census.look()
                await self.scales.keep()
            rounds += 1

        await _forever("watch", SWEEP, look)

    async def tell(self) -> None:
        """The leader's voice: alerts by mail and webhook."""

        async def speak() -> None:
            if await self._leads("tell", WATCH_TERM):
                await self.teller.round()

        await _forever("tell", SWEEP, speak)

    async def plan_ahead(self) -> None:
        """The leader's planning of what comes round again. SQL says when it last ran: what was
        missed while nobody was there is caught up at once."""

        async def plan() -> None:
            now = self.clock.micros()
            due = await store.is_due(self.database, "recurrences", every_us=PLAN_EVERY, now=now)
            if due and await self._leads("recurrences", PLAN_TERM):
                await self.recurring.plan_everything()
                await store.ran(self.database, "recurrences", now)

        await _forever("recurrences", PLAN_LOOK, plan)

    async def keep_history(self) -> None:
        """The leader's packing of what is long over."""

        async def pack() -> None:
            now = self.clock.micros()
            if await store.is_due(self.database, "history", every_us=HISTORY_EVERY, now=now):
                await self.historian.round(lambda: self._leads("history", HISTORY_TERM))
                await store.ran(self.database, "history", now)

        await _forever("history", HISTORY_LOOK, pack)

    async def collect_returns(self) -> None:
        """The leader's reading of the mailboxes that bounces come back to; SQL says when they were
        last read, and how far."""
        every_us = int(self.settings.mailbox_interval * SECOND)

        async def collect() -> None:
            now = self.clock.micros()
            due = await store.is_due(self.database, "mailboxes", every_us=every_us, now=now)
            if due and await self._leads("mailboxes", MAILBOX_TERM):
                before = await store.last_ran(self.database, "mailboxes")
                await self.collector.round()
                # Clocks differ, and a mailing may be noted late: what is seen twice counts once.
                await self.collector.count_full((now if before is None else before) - DAY)
                await store.ran(self.database, "mailboxes", now)

        await _forever("mailboxes", min(MAILBOX_LOOK, self.settings.mailbox_interval), collect)

    async def write_to_readers(self) -> None:
        """The leader's mails about subscriptions; and sign-ups that nobody confirmed are
        forgotten, those that ran out while no worker was alive too."""

        async def write() -> None:
            if await self._leads("service-mails", WATCH_TERM):
                await self.mailer.send_due()
                await self.mailer.expire()

        await _forever("service-mails", SWEEP, write)

    async def settle_cancelled(self) -> None:
        """The leader's word to who waits for a mailing that was cancelled."""

        async def settle() -> None:
            if await self._leads("forsaken", WATCH_TERM):
                await self.forsaken.round()

        await _forever("forsaken", FORSAKEN_LOOK, settle)

    async def renew(self) -> None:
        """The leader's renewal of credentials that are about to end."""

        async def look() -> None:
            if await self._leads("renewal", RENEW_TERM):
                await self.renewer.look()

        await _forever("renewal", RENEW_LOOK, look)

    async def copy_contacts(self) -> None:
        """The leader's encrypted copy of the day; missed ones are caught up by one."""

        async def look() -> None:
            assert self.copyist is not None  # asked only where there is one
            if await self._leads("contacts-copy", COPY_TERM):
                await self.copyist.look()

        if self.copyist is not None:
            await _forever("contacts-copy", COPY_LOOK, look)

    async def _leads(self, duty: str, term: int) -> bool:
        """Whether this worker is the one that does it now (for `term` microseconds more)."""
        now = self.clock.micros()
        return await claims.take_lease(
            self.database, duty, self.worker, now=now, until=now + term,
            alive_since=now - int(self.settings.worker_dead_after * SECOND),
        )  # fmt: skip


async def _forever(name: str, interval: float, duty: Callable[[], Awaitable[None]]) -> None:
    while True:
        try:
            await duty()
        except Exception:  # a duty that stops for good would be a silent failure
            log.exception("duty.failed", duty=name)
            metrics.DB_ERRORS.labels(name).inc()
        await asyncio.sleep(interval)
