"""Fire what is armed, each at its time: the last look, the lanes, the sends.

No commit stands between the due time and the request, only one read: still ours, not cancelled,
not paused.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from functools import partial

import structlog

from scheduler import metrics, tracing
from scheduler.arming import Armer
from scheduler.attempt import Armed, Sender
from scheduler.bulkheads import Lane, Lanes
from scheduler.clock import Clock
from scheduler.completion import Completer
from scheduler.decide import SECOND
from scheduler.ending import end, within
from scheduler.leaving import LEAVING, let_go
from scheduler.pace import Pace
from scheduler.resting import RESTING
from scheduler.sharing import Sharing
from scheduler.store import claims
from scheduler.store.completions import mark_sending
from scheduler.store.db import Database
from scheduler.store.look import Seen, open_look
from scheduler.store.pointers import articles_now
from scheduler.timer import Timer

log = structlog.get_logger()

LOOK_AT_ONCE = 500
# A look older than this is repeated before the request leaves.
LOOK_HOLDS = SECOND
# So long a send's task may take to begin: what is about to be too old then looks again at once.
TO_BEGIN = SECOND // 5
DB_PAUSE = 0.25
# In timeouts of a send: an adapter that hears no cancellation keeps its lease no longer.
_OVERDUE = 2
# An article that a text waits for is looked for again after so long.
ARTICLE_LOOK = SECOND // 20


class Firing:
    """The armed deliveries of one worker, from their claim to their outcome."""

    def __init__(
        self,
        *,
        database: Database,
        clock: Clock,
        armer: Armer,
        sender: Sender,
        completer: Completer,
        pace: Pace,
        sharing: Sharing,
        wake: Callable[[], None],
    ) -> None:
        self._wake = wake
        self._sharing = sharing
        self._database = database
        self._look = open_look(database)
        self._clock = clock
        self._armer = armer
        self._sender = sender
        self._completer = completer
        self._pace = pace
        self._timer = Timer(clock)
        self._lanes = Lanes(pace.concurrency)
        self._sends: dict[asyncio.Task[None], Armed] = {}
        self._leaving = asyncio.Event()
        self._ending = self._stopping = False
        self._pump_waits = False

    @property
    def load(self) -> int:
        """Deliveries armed and not yet sent."""
        return len(self._timer) + len(self._lanes)

    @property
    def in_flight(self) -> int:
        return len(self._sends)

    def held(self) -> list[Armed]:
        """All whose lease is ours: those that wait, and those under way; but for sends that should
        have ended long ago, for which somebody else had better look."""
        over = self._clock.micros() - int(_OVERDUE * self._pace.send_timeout * SECOND) - LOOK_HOLDS
        under_way = (
            armed
            for armed in self._sends.values()
            if armed.looked_at > over or armed.member.channel.capabilities.addressed
        )
        return [*self.waiting(), *under_way]

    def add(self, some: Iterable[Armed], *, at: int | None = None) -> None:
        """Fire these at their times, or then."""
        for armed in some:
            self._timer.push(armed, at=at)
        self._timer.wake()

    async def warm_up(self) -> None:
        """The first look connects: not at a due time. Errors: the driver's own."""
        await self._look.seen([])

    def leave(self) -> None:
        """Have broadcasts end with the mails that are under way; none begins any more."""
        self._leaving.set()

    def end(self) -> None:
        """`run` returns once nothing waits."""
        self._ending = True
        self._timer.wake()

    def stop(self) -> None:
        """Start nothing more; `run` returns."""
        self._stopping = True
        self._timer.wake()

    def take_back(self, until: int = 0) -> list[Armed]:
        """What has not left, taken out. With `until`, only what others had better send: what is due
        later; broadcasts, which run long; and what has no room now, unless we are alone."""
        back = self._timer.take_out(
            lambda due, armed: due > until or armed.member.channel.capabilities.addressed
        )
        alone = until and self._sharing.workers == 1
        return back if alone else back + self._lanes.clear()

    def shared(self) -> list[Armed]:
        """Places were dealt out anew: what waits for an account of which we have none, taken out;
        the rest may have room now."""
        lacking = self._sharing.lacking
        self._pump_soon()
        if not lacking:
            return []
        back = self._timer.take_out(lambda _, armed: armed.member.id in lacking)
        return back + self._lanes.give_up(lacking)

    async def finish(self, seconds: float) -> None:
        """Wait so long for the sends under way; those still there are cancelled."""
        if self._sends:
            _, late = await asyncio.wait(self._sends, timeout=seconds)
            await end(late)

    async def close(self, seconds: float) -> None:
        """Errors: TimeoutError; the driver's own."""
        await within(seconds, self._look.close())

    def waiting(self) -> list[Armed]:
        """Armed and not yet sent."""
        return [*self._timer, *self._lanes.waiting()]

    async def run(self) -> None:
        while not self._stopping and (self.load or not self._ending):
            due = self._timer.due(LOOK_AT_ONCE)
            if due:
                try:
                    await self._fire(due)
                except Exception:  # no read, no send: they stay armed and are tried again
                    log.exception("last-look.failed")
                    metrics.DB_ERRORS.labels("last-look").inc()
                    for armed in due:
                        self._timer.push(armed)
                    await asyncio.sleep(DB_PAUSE)
                continue
            await self._timer.sleep()

    async def _fire(self, due: Sequence[Armed]) -> None:
        """The last look, then into the lanes."""
        begun = self._clock.micros()
        seen = await self._look.seen([armed.delivery.id for armed in due])
        articles = await articles_now(self._database, {a.article for a in due if a.article})
        now = self._clock.micros()
        tracing.record_all("last look", begun, now, (armed.delivery for armed in due))
        put_back: list[tuple[Armed, Seen]] = []
        given_up: list[Armed] = []
        linkless: list[Armed] = []
        for armed in due:
            found = seen.get(armed.delivery.id)
            if found is None or found.token != armed.token:
                continue  # cancelled, moved, or taken over
            most = self._sharing.most(found.max_concurrent, found.failures)
            if found.paused_until > now:
                put_back.append((armed, found))
            elif armed.lease_until - now < self._pace.send_timeout * SECOND or armed.too_late(now):
                given_up.append(armed)  # whoever claims it next sees what becomes of it
            elif not self._sharing.has_place(armed.member.id, most):
                given_up.append(armed)  # another worker's to send
            elif armed.article is not None and not articles[armed.article].stands:
                if articles[armed.article].coming and now < armed.patience_until:
                    self._timer.push(armed, at=now + ARTICLE_LOOK)
                else:
                    linkless.append(armed)
            else:
                armed.looked_at = now
                armed.probing = self._sharing.on_probation(found.failures)
                self._lanes.add(armed, most)
        self._pump()
        if put_back or given_up or linkless:
            try:
                await self._put_off(put_back, given_up, linkless)
            except Exception:  # only these: the others may be under way by now
                log.exception("putting-off.failed")
                metrics.DB_ERRORS.labels("putting-off").inc()
                self._later([armed for armed, _ in put_back] + given_up + linkless)

    async def _put_off(
        self,
        put_back: Sequence[tuple[Armed, Seen]],
        given_up: Sequence[Armed],
        linkless: Sequence[Armed],
    ) -> None:
        if put_back:
            await self._armer.put_back(
                [(armed.delivery, seen.paused_until, seen.pause_reason) for armed, seen in put_back]
            )
        if linkless:
            await self._armer.drop_links([armed.delivery for armed in linkless])
            self._wake()
        if given_up:
            fences = [(armed.delivery.id, armed.token) for armed in given_up]
            async with self._database.write() as connection:
                await claims.release(connection, fences, now=self._clock.micros())

    def _later(self, some: Sequence[Armed]) -> None:
        """Look again in a moment; in the heap meanwhile, where a stop finds them."""
        self.add(some, at=self._clock.micros() + int(DB_PAUSE * SECOND))

    def _pump(self) -> None:
        """Start sends while there is room."""
        self._pump_waits = False
        if self._stopping or self._sharing.stale(self._clock.monotonic()):
            return
        if self._ending:
            self._timer.wake()  # this may be the last of what waits
        now = self._clock.micros()
        for lane, armed in self._lanes.take(self._room):
            if armed.looked_at < max(now - LOOK_HOLDS + TO_BEGIN, lane.look_after):
                lane.ended()
                self._timer.push(armed)
                self._timer.wake()
            else:
                self._start(lane, armed)

    def _room(self, lane: Lane) -> int:
        return self._sharing.places(lane.account_id, lane.most)

    def _start(self, lane: Lane, armed: Armed) -> None:
        task = asyncio.get_running_loop().create_task(self._send(lane, armed))
        self._sends[task] = armed
        task.add_done_callback(self._sent)

    def _sent(self, task: asyncio.Task[None]) -> None:
        del self._sends[task]
        if not task.cancelled() and task.exception() is not None:
            log.error("send.failed", exc_info=task.exception())
        self._pump_soon()

    def _pump_soon(self) -> None:
        """Once for all answers that came in together."""
        if not self._stopping and not self._pump_waits:
            self._pump_waits = True
            asyncio.get_running_loop().call_soon(self._pump)

    async def _send(self, lane: Lane, armed: Armed) -> None:
        addressed = armed.member.channel.capabilities.addressed
        try:
            if addressed and self._leaving.is_set():
                self._later([armed])  # where whoever gives back finds it
                return
            if self._clock.micros() - armed.looked_at > LOOK_HOLDS:
                log.warning("look.again", delivery=armed.delivery.id)
                self._later([armed])  # we were frozen since: it may be another's by now
                return
            try:
                self._sender.journal.sending(armed.delivery.id, armed.delivery.attempt)
            except OSError:  # no room: what the journal does not name must not leave
                log.exception("journal.failed", delivery=armed.delivery.id)
                self._later([armed])
                return
            if addressed and not await self._begins(armed, lane):
                self._sender.journal.settled(armed.delivery.id, armed.delivery.attempt)
                return
            attempted = await self._sender.attempt(armed)
            self._completer.add(attempted)
            if armed.probing:
                # What it came to decides about those behind it: they look again once it is written.
                await self._completer.drained()
                lane.look_after = self._clock.micros()
        finally:
            lane.ended()

    async def _begins(self, armed: Armed, lane: Lane) -> bool:
        """A broadcast runs long and knows its recipients one by one: say that it has begun."""
        RESTING.set(partial(lane.resting, self._pump_soon))
        LEAVING.set(self._leaving)
        try:
            async with self._database.write() as connection:
                return await mark_sending(
                    connection, armed.delivery.id, armed.token, now=self._clock.micros()
                )
        except asyncio.CancelledError:  # perhaps it was committed
            await asyncio.shield(let_go(self._database, self._clock, armed.delivery))
            raise
        except Exception:  # nothing has left: it is tried again
            log.exception("beginning.failed", delivery=armed.delivery.id)
            metrics.DB_ERRORS.labels("beginning").inc()
            self._later([armed])
            return False
