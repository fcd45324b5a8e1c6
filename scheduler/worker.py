"""A worker: the dispatcher with its duties, and arq's worker beside it.

arq's loop ends when Redis does; the dispatcher does not: `ticks.py` restarts it, and publishing
goes on from SQL meanwhile.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Any

import structlog

from scheduler import metrics, pulse
from scheduler.arming import Armer
from scheduler.attempt import BroadcastRun, Sender
from scheduler.audience.mails import mailer_of
from scheduler.care import census_of, collector_of, doctor_of, renewer_of, scales_of, teller_of
from scheduler.clearance import Clearance
from scheduler.completion import Completer
from scheduler.decide import SECOND, Move, Rules
from scheduler.deliveries import Delivery
from scheduler.dispatch import Dispatcher
from scheduler.doubt import LookPolicy
from scheduler.duties import Duties
from scheduler.ending import end, lasting, within
from scheduler.foresight import Foresight
from scheduler.forsaken import forsaken_of
from scheduler.garbage import rarely_collected
from scheduler.historian import Historian
from scheduler.journal import Journal, left_behind
from scheduler.late import LateRules
from scheduler.limits import BreakerPolicy
from scheduler.pace import Pace
from scheduler.reconcile import Reconciler
from scheduler.recurring import Recurring
from scheduler.rendering import Renderer
from scheduler.retry import RetryPolicy
from scheduler.services import Services
from scheduler.settings import Settings
from scheduler.sharing import Sharing
from scheduler.store import claims
from scheduler.takeover import take_over
from scheduler.unwritable import Patience, hold_undecided

if TYPE_CHECKING:  # encrypts: only where copies are asked for
    from scheduler.copies import Copyist

log = structlog.get_logger()

_RETIRES_WITHIN = 1.0
_CLOSES_WITHIN = 0.5


class Worker:
    """One worker process (or the worker half of `estafette run`)."""

    def __init__(
        self, services: Services, *, redis_url: str | None, broadcast: BroadcastRun
    ) -> None:
        self._services = services
        self._redis_url = redis_url
        settings = services.settings
        metrics.begin(sorted({name.partition(".")[0] for name in services.registry}))
        self.id = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"[-64:]
        self._journal_dir = settings.data_dir / "journal"
        self._journal = Journal(self._journal_dir, self.id)
        rng = Random()  # noqa: S311 -- jitter, not secrecy
        self._patience = Patience()
        self.doctor = doctor_of(services, f"worker:{self.id}")
        self._completer = Completer(
            services.database, services.clock, self._journal, self.id,
            mover=self._move,
        )  # fmt: skip
        renderer = Renderer(
            database=services.database, roster=services.roster,
            media_dir=settings.data_dir / "media", own_hosts=settings.own_hosts,
        )  # fmt: skip
        armer = Armer(
            database=services.database, roster=services.roster, clock=services.clock,
            worker=self.id, clearance=_clearance(settings, self.id), renderer=renderer,
            lease_us=int(settings.lease * SECOND),
            send_us=int(settings.send_timeout * SECOND),
            catch_up_gap_us=int(settings.catch_up_gap * SECOND),
            article_us=int(settings.article_patience * SECOND),
        )  # fmt: skip
        self.dispatcher = Dispatcher(
            database=services.database,
            clock=services.clock,
            armer=armer,
            sender=_sender(services, self._journal, rng, broadcast),
            completer=self._completer,
            mover=self._move,
            pace=_pace(settings),
            sharing=Sharing(
                self.id, silence=settings.worker_dead_after, failures=settings.breaker_failures
            ),
            rng=rng,
            ring=services.doorbell.ring,
        )
        self._reconciler = Reconciler(
            database=services.database, renderer=renderer, clock=services.clock, worker=self.id,
            policy=LookPolicy(
                in_flight_us=int(settings.send_timeout * SECOND),
                patience_us=int(settings.find_patience * SECOND),
            ),
            mover=self._move,
        )  # fmt: skip
        self._duties = Duties(
            database=services.database, clock=services.clock, settings=settings, worker=self.id,
            dispatcher=self.dispatcher, doctor=self.doctor, teller=teller_of(services),
            foresight=Foresight(database=services.database, clock=services.clock),
            recurring=Recurring(services.campaigner), historian=_historian(services),
            mailer=mailer_of(services),
            census=census_of(services), scales=scales_of(services),
            collector=collector_of(services), copyist=_copyist(services),
            renewer=renewer_of(services, f"worker:{self.id}"),
            forsaken=forsaken_of(services),
        )  # fmt: skip

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Worker]:
        """Work until the context ends, then stop in good order within the grace time.

        Begins once this worker has looked for what is due: who stops another may count on it.
        """
        await self.dispatcher.warm_up()
        await self._take_over_own_dead()
        await self._duties.beat()
        loops = [
            asyncio.create_task(lasting(work))
            for work in (
                self._completer.run,
                self.dispatcher.run,
                partial(self._reconciler.run, self._services.settings.sweep_interval),
                self._duties.heartbeat,
                partial(pulse.run, self._services.database),
                self._duties.sweep,
                self._duties.count,
                self._duties.watch,
                self._duties.write_to_readers,
                self._duties.settle_cancelled,
                self._duties.collect_returns,
                self._duties.tell,
                self._duties.renew,
                self._duties.plan_ahead,
                self._duties.keep_history,
                self._duties.copy_contacts,
            )
        ]
        hearing = [asyncio.create_task(lasting(work)) for work in self._with_redis(self._redis_url)]
        self._services.doorbell.listen(self.dispatcher.wake)
        try:
            with rarely_collected():
                await self.dispatcher.looked()
                yield self
        finally:
            for task in hearing:
                task.cancel()  # the ticks are for those who go on
            try:
                await self.dispatcher.stop(self._services.settings.grace)
            finally:
                await end(loops + hearing)
                with suppress(Exception):  # a connection that is broken is closed
                    await within(_CLOSES_WITHIN, self._completer.close())
                await self._retire()
                if self._completer.pending or self._journal.in_doubt:
                    self._journal.abandon()
                else:
                    self._journal.close()

    async def _retire(self) -> None:
        """Not to be counted among the living any more; without a database, silence says it."""
        try:
            await within(_RETIRES_WITHIN, claims.retire(self._services.database, self.id))
        except Exception as error:  # noqa: BLE001 -- whatever the driver raises
            log.warning("retiring.failed", error=type(error).__name__)

    async def _take_over_own_dead(self) -> None:
        """Workers that were killed on this machine: their journals say what really left."""
        now = self._services.clock.micros()
        # A request that was under way may still be written.
        first_look = now + int(self._services.settings.send_timeout * SECOND)
        for left in left_behind(self._journal_dir):
            if left.proves:
                await take_over(self._services.database, left, now=now, first_look=first_look)
            left.path.unlink(missing_ok=True)

    async def _move(self, delivery: Delivery, move: Move) -> None:
        """One whose other road the database refuses waits for a person in the end."""
        try:
            await self.doctor.plan_b.move(delivery, move)
        except Exception as error:
            if not self._patience.ends(delivery.id, error):
                raise
            log.exception("move.refused", delivery=delivery.id)
            now = self._services.clock.micros()
            await hold_undecided(
                self._services.database, delivery, in_doubt=False, actor=f"worker:{self.id}",
                now=now,
            )  # fmt: skip
        self._patience.forget(delivery.id)

    def _with_redis(self, url: str | None) -> list[Callable[[], Coroutine[Any, Any, None]]]:
        if url is None:
            return []
        from scheduler.lookout import Lookout
        from scheduler.ticks import Ticks

        services = self._services
        lookout = Lookout(
            database=services.database, clock=services.clock, settings=services.settings, url=url
        )
        return [Ticks(url, services.settings, self.dispatcher).run, lookout.run]


def _historian(services: Services) -> Historian:
    after_us = int(services.settings.history_after * 24 * 3600 * SECOND)
    return Historian(database=services.database, clock=services.clock, after_us=after_us)


def _copyist(services: Services) -> Copyist | None:
    """None where nobody asks for copies: what encrypts them is not loaded then."""
    if services.settings.copies_dir is None:
        return None
    from scheduler.copies import copyist_of

    return copyist_of(services)


def _pace(settings: Settings) -> Pace:
    return Pace(
        arm_ahead=settings.arm_ahead,
        sweep_interval=settings.sweep_interval,
        lease_us=int(settings.lease * SECOND),
        send_timeout=settings.send_timeout,
        concurrency=settings.worker_concurrency,
    )


def _clearance(settings: Settings, worker: str) -> Clearance:
    late = LateRules(
        late_after_us=int(settings.late_after * SECOND),
        default_deadline_us=int(settings.default_deadline_hours * 3600 * SECOND),
    )
    return Clearance(late, worker)


def _sender(services: Services, journal: Journal, rng: Random, broadcast: BroadcastRun) -> Sender:
    settings = services.settings
    return Sender(
        clock=services.clock,
        journal=journal,
        rules=Rules(
            retry=RetryPolicy(
                max_tries=settings.max_tries,
                base_us=int(settings.retry_base * SECOND),
                cap_us=int(settings.retry_cap * SECOND),
            )
        ),
        breaker=BreakerPolicy(
            failures=settings.breaker_failures, pause_us=int(settings.breaker_pause * SECOND)
        ),
        send_timeout=settings.send_timeout,
        rng=rng,
        broadcast=broadcast,
    )
