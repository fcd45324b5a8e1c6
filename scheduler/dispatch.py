"""The dispatcher: arm due rows a little ahead, have each fired on time, renew the leases.

What fires was claimed and rendered up to two seconds before (`firing.py` sends it). It works from
SQL alone; a doorbell tick only makes it look sooner.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from random import Random

import structlog

from scheduler import metrics
from scheduler.arming import Armer
from scheduler.attempt import Armed, Sender
from scheduler.bulkheads import crowded, free
from scheduler.clock import Clock
from scheduler.completion import Completer
from scheduler.decide import SECOND, Move
from scheduler.deliveries import Delivery
from scheduler.ending import end, lasting, within
from scheduler.firing import Firing
from scheduler.pace import Pace
from scheduler.sharing import Sharing
from scheduler.store import claims, workers
from scheduler.store.db import Database

log = structlog.get_logger()

MAX_ARMED = 10_000
# A lease is renewed so often in its time: what waits has enough of it left for a send.
RENEWALS = 4
# What is left to do after the grace gets so long: sends that used it up keep their outcome.
MOMENT = 0.5
# A worker that is told to stop still sends what it has armed for the next so many seconds: whoever
# takes over may be starting just now. Half of the grace at most: their answers take time, too.
LAST_STRETCH = 2.0


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
        sharing: Sharing,
        rng: Random,
        ring: Callable[[int], Awaitable[None]],
    ) -> None:
        self._ring = ring
        self._database = database
        self._clock = clock
        self._armer = armer
        self._completer = completer
        self._mover = mover
        self._pace = pace
        self._rng = rng
        self.sharing = sharing
        self.firing = Firing(
            database=database, clock=clock, armer=armer, sender=sender, completer=completer,
            pace=pace, sharing=sharing, wake=self.wake,
        )  # fmt: skip
        self._bell = asyncio.Event()
        self._stopping = False
        self._returns: list[tuple[str, str]] = []
        self._returning = asyncio.Lock()
        self._arming: asyncio.Task[None] | None = None
        self._firing: asyncio.Task[None] | None = None
        self._looked = asyncio.Event()

    def wake(self) -> None:
        """Look at SQL now (a tick, or a post accepted in this process)."""
        self._bell.set()

    def shared(self) -> None:
        """Places were dealt out anew: what others have to send goes back to them."""
        self._give(self.firing.shared())
        self.wake()

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            self._arming = group.create_task(lasting(self._arm_loop))
            self._firing = group.create_task(lasting(self.firing.run))
            group.create_task(lasting(self._renew_loop))

    async def warm_up(self) -> None:
        """Connect, load and prepare what the first rounds need. Errors: the driver's own."""
        await self._armer.warm_up()
        await self.firing.warm_up()

    async def looked(self) -> None:
        """Returns once `run` has looked for what is due: from then on this worker is of use."""
        await self._looked.wait()

    async def stop(self, grace: float) -> None:
        """Stop claiming; send what is armed and due in a moment, and finish what is in flight; give
        the rest back at once.

        All of it within `grace` seconds and a moment. Sends still under way then are cancelled; the
        journal keeps their doubt.
        """
        ends_at = asyncio.get_running_loop().time() + grace
        self._stopping = True
        self._bell.set()
        self.firing.leave()
        await self._last_stretch(min(LAST_STRETCH, grace / 2))
        self.firing.stop()
        await self._leave()
        rounds = self._rounds()
        if rounds:  # what a round has in hand is neither in the heap nor in a lane
            _, hung = await asyncio.wait(rounds, timeout=_until(ends_at))
            await end(hung)
        await self._return(self.firing.take_back(), _until(ends_at))
        await self.firing.finish(_until(ends_at))
        with suppress(TimeoutError):  # no database: the journal keeps their doubt, too
            async with asyncio.timeout(_until(ends_at)):
                await self._completer.drained()
        with suppress(Exception):  # a connection that is broken is closed
            await self.firing.close(MOMENT)

    async def _last_stretch(self, seconds: float) -> None:
        """So long at most, until nothing waits: what is due is sent here, all else goes back."""
        time = asyncio.get_running_loop().time
        ends_at = time() + seconds
        until = self._clock.micros() + int(seconds * SECOND)
        while (rounds := self._rounds()) and (left := ends_at - time()) > 0:
            await self._return(self.firing.take_back(until), max(left, MOMENT))
            if self._arming not in rounds:  # nothing comes any more
                self.firing.end()
            pause = min(self._pace.sweep_interval, left)
            await asyncio.wait(rounds, timeout=pause, return_when=asyncio.FIRST_COMPLETED)

    async def _leave(self) -> None:
        """Others may have our places from now on, however long takes what is under way here."""
        if not self.firing.in_flight:
            return
        try:
            await within(MOMENT, workers.leave(self._database, self._armer.worker))
        except Exception:  # the database is away: silence says it later
            log.exception("leaving.failed")
            metrics.DB_ERRORS.labels("leaving").inc()

    def _rounds(self) -> list[asyncio.Task[None]]:
        """Those that have not ended."""
        return [one for one in (self._arming, self._firing) if one is not None and not one.done()]

    async def _return(self, some: Sequence[Armed], seconds: float) -> None:
        """Give these back, and whatever else has not left and is in nobody's hands."""
        self._give(some)
        try:
            await within(seconds, self._give_back())
        except Exception:  # the database is away: the leases end by themselves
            log.exception("giving-back.failed")
            metrics.DB_ERRORS.labels("giving-back").inc()
            return
        if some:
            await self._ring(self._clock.micros())

    def _give(self, some: Iterable[Armed]) -> None:
        self._returns += [(armed.delivery.id, armed.token) for armed in some]

    async def _give_back(self) -> None:
        """What is ours and certainly did not leave is everyone's again."""
        async with self._returning:
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
            self._looked.set()
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
        if limit <= 0 or self._stopping:
            return False
        horizon = self._clock.micros() + int(self._pace.arm_ahead * SECOND)
        without = crowded(self.firing.waiting(), MAX_ARMED, self.sharing.lacking)
        batch = await self._armer.arm(horizon, limit, without)
        if batch is None:
            return False
        metrics.CLAIMS.inc(len(batch.armed))
        self._add(batch.armed)
        more = True
        for delivery, cause in batch.moved:
            try:
                await self._mover(delivery, Move(cause))
            except Exception:  # claimed by nobody's hands: to be claimed again
                log.exception("move.failed", delivery=delivery.id)
                self._returns.append((delivery.id, delivery.token or ""))
                more = False  # not at once: it may fail again
        return more

    def _add(self, batch: Iterable[Armed]) -> None:
        """To be fired here, but for what is others': its account was not known for that."""
        for armed in batch:
            member = armed.member
            most = self.sharing.most(member.max_concurrent, member.failures)
            if self.sharing.has_place(member.id, most):
                self.firing.add([armed])
            else:
                self._give([armed])

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
