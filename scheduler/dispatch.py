"""The dispatcher: arm due rows a little ahead, have each fired on time, renew the leases.

What fires was claimed and rendered up to two seconds before (`firing.py` sends it). It works from
SQL alone; a doorbell tick only makes it look sooner.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from random import Random

import structlog

from scheduler import metrics
from scheduler.arming import Armer
from scheduler.attempt import Sender
from scheduler.bulkheads import crowded, free
from scheduler.clock import Clock
from scheduler.completion import Completer
from scheduler.decide import SECOND, Move
from scheduler.deliveries import Delivery
from scheduler.ending import within
from scheduler.firing import Firing, Pace
from scheduler.store import claims
from scheduler.store.db import Database

log = structlog.get_logger()

MAX_ARMED = 10_000
# A lease is renewed so often in its time: what waits has enough of it left for a send.
RENEWALS = 4
# What is left to do after the grace gets so long: sends that used it up keep their outcome.
MOMENT = 0.5


class Dispatcher:
    """One per worker. `run` until cancelled, or `stop` for an orderly end."""

    def __init__(
        self,
        *,
        database: Database,
        clock: Clock,
        armer: Armer,
        sender: Sender,
        completer: Completer,
        mover: Callable[[Delivery, Move], Awaitable[None]],
        pace: Pace,
        rng: Random,
    ) -> None:
        self._database = database
        self._clock = clock
        self._armer = armer
        self._completer = completer
        self._mover = mover
        self._pace = pace
        self._rng = rng
        self.firing = Firing(
            database=database, clock=clock, armer=armer, sender=sender, completer=completer,
            pace=pace, wake=self.wake,
        )  # fmt: skip
        self._bell = asyncio.Event()
        self._stopping = False
        self._returns: list[tuple[str, str]] = []
        self._rounds: list[asyncio.Task[None]] = []

    def wake(self) -> None:
        """Look at SQL now (a tick, or a post accepted in this process)."""
        self._bell.set()

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            self._rounds += [
                group.create_task(self._arm_loop()),
                group.create_task(self.firing.run()),
            ]
            group.create_task(self._renew_loop())

    async def stop(self, grace: float) -> None:
        """Stop claiming, give back what has not left, finish what is in flight.

        All of it within `grace` seconds and a moment. Sends still under way then are cancelled; the
        journal keeps their doubt.
        """
        ends_at = asyncio.get_running_loop().time() + grace
        self._stopping = True
        self._bell.set()
        self.firing.stop()
        if self._rounds:  # what a round has in hand is neither in the heap nor in a lane
            await asyncio.wait(self._rounds, timeout=grace)
        self._returns += [(armed.delivery.id, armed.token) for armed in self.firing.take_back()]
        try:
            await within(_until(ends_at), self._give_back())
        except Exception:  # the database is away: the leases end by themselves
            log.exception("giving-back.failed")
            metrics.DB_ERRORS.labels("giving-back").inc()
        await self.firing.finish(_until(ends_at))
        with suppress(TimeoutError):  # no database: the journal keeps their doubt, too
            async with asyncio.timeout(_until(ends_at)):
                await self._completer.drained()
        with suppress(Exception):  # a connection that is broken is closed
            await self.firing.close(MOMENT)

    async def _give_back(self) -> None:
        """What is ours and certainly did not leave is everyone's again."""
        await self._armer.forget_failed()
        if self._returns:
            fences = tuple(self._returns)
            async with self._database.write() as connection:
                await claims.release(connection, fences, now=self._clock.micros())
            del self._returns[: len(fences)]

    async def _arm_loop(self) -> None:
        while not self._stopping:
            self._bell.clear()
            try:
                more = await self._arm()
            except Exception:  # the database is away: its return must find us looking
                log.exception("arming.failed")
                metrics.DB_ERRORS.labels("arming").inc()
                more = False
            if more:
                continue
            jittered = self._pace.sweep_interval * self._rng.uniform(0.8, 1.2)
            try:
                async with asyncio.timeout(jittered):
                    await self._bell.wait()
            except TimeoutError:
                continue

    async def _arm(self) -> bool:
        await self._give_back()
        limit = free(self.firing.load, MAX_ARMED, claims.CHUNK)
        if limit <= 0:
            return False
        horizon = self._clock.micros() + int(self._pace.arm_ahead * SECOND)
        batch = await self._armer.arm(horizon, limit, crowded(self.firing.waiting(), MAX_ARMED))
        if batch is None:
            return False
        metrics.CLAIMS.inc(len(batch.armed))
        self.firing.add(batch.armed)
        for delivery, cause in batch.moved:
            try:
                await self._mover(delivery, Move(cause))
            except Exception:  # claimed by nobody's hands: to be claimed again
                log.exception("move.failed", delivery=delivery.id)
                self._returns.append((delivery.id, delivery.token or ""))
        return True

    async def _renew_loop(self) -> None:
        while True:
            await asyncio.sleep(self._pace.lease_us / SECOND / RENEWALS)
            held = self.firing.held()
            until = self._clock.micros() + self._pace.lease_us
            try:
                await claims.renew(
                    self._database,
                    [(armed.delivery.id, armed.token) for armed in held],
                    lease_until=until,
                )
            except Exception:  # the leases end by themselves, and the last look sees that
                log.exception("renewal.failed")
                metrics.DB_ERRORS.labels("renewal").inc()
                continue
            for armed in held:
                armed.lease_until = until
            metrics.ARMED.set(self.firing.load)
            metrics.IN_FLIGHT.set(self.firing.in_flight)


def _until(ends_at: float) -> float:
    return max(ends_at - asyncio.get_running_loop().time(), MOMENT)
