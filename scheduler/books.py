"""The books of one broadcast: who is claimed, what became of them, who may still be written to.

One transaction settles what is known and claims what comes next; between two of them everything
is in memory and in the logbook.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import nullcontext, suppress

import structlog

from channels.outcome import Outcome, Unavailable
from scheduler.clerk import Clerk, Known
from scheduler.clock import Clock
from scheduler.decide import SECOND
from scheduler.gate import Gate
from scheduler.lanes import Lane, domain_of
from scheduler.resting import resting
from scheduler.store.recipients import Claimed, RecipientState, Settled
from scheduler.verdicts import Pace

log = structlog.get_logger()

BOOK_FAILURES = 30


class Books:
    """Shared by the connections of one run. `stop`: why the run has to end, None while it may go
    on. `give_up_at`: nobody is claimed after it (microseconds)."""

    def __init__(
        self,
        clerk: Clerk,
        gate: Gate,
        clock: Clock,
        pace: Pace,
        *,
        delivery_id: str,
        give_up_at: int,
    ) -> None:
        self._clock, self._pace, self.gate, self._clerk = clock, pace, gate, clerk
        self._delivery_id = delivery_id
        self._give_up_at = give_up_at
        self._queue: deque[Claimed] = deque()
        self._near: dict[str, Claimed] = {}  # given out, and nothing of their mail has left
        self._gone: set[str] = set()
        self._results: list[Settled] = []
        self._taken: dict[str, list[str]] = {}  # who was accepted, by the code of the answer
        self._banned: list[tuple[str, Settled]] = []
        self._checked_at = 0
        self._exhausted = False
        self._closing = asyncio.Event()
        self._asked = False  # for a turn, since the last one ended
        self._wanted = asyncio.Event()
        self._more = asyncio.Event()
        self.amiss = False
        self.stop: Outcome | None = None
        self.ended = asyncio.Event()

    def end(self, why: Outcome) -> None:
        """Have the run end with what is under way; wakes whoever waits for `ended`."""
        self.stop = self.stop or why
        self.ended.set()
        self._more.set()

    def over(self) -> bool:
        """Whether the run has to end."""
        return self.stop is not None

    @property
    def waiting(self) -> int:
        """How many are claimed and not yet begun."""
        return len(self._queue)

    async def open_round(self) -> bool:
        """Claim who is due; whether there is anybody to write to."""
        self._exhausted = self._asked = False
        self._closing.clear()
        await self._turn(claiming=True)
        while not self._queue and not self._exhausted and self.stop is None:
            if self._held_up:
                with resting():
                    await asyncio.sleep(self._pace.flush_us / SECOND)
            await self._turn(claiming=True)
        return bool(self._queue) and self.stop is None

    async def close_round(self) -> None:
        """Settle what is known and give back what was certainly not begun."""
        self._results += [
            _not_begun(one.contact_id) for one in [*self._near.values(), *self._queue]
        ]
        self._queue.clear()
        self._near.clear()
        await self._turn(claiming=False)

    def next(self) -> Claimed | None:
        """The next recipient, None when nobody is at hand."""
        if self.stop is not None or not self._queue:
            return None
        if not self._asked and len(self._queue) * 2 <= self._pace.chunk and not self._exhausted:
            self._asked = True
            self._wanted.set()
        claimed = self._queue.popleft()
        self._near[claimed.contact_id] = claimed
        return claimed

    async def more(self) -> bool:
        """Wait until somebody is at hand; False when the round is over."""
        while not self._queue:
            if self._exhausted or self.stop is not None:
                return False
            self._more.clear()
            self._wanted.set()
            await self._more.wait()
        return self.stop is None

    def leaving(self, contact_id: str) -> bool:
        """Whether their mail may still leave; if not, that is settled here."""
        if contact_id in self._gone:
            self._gone.discard(contact_id)
            self._results.append(self._unwelcomed(contact_id))
        elif self.stop is None:
            self._near.pop(contact_id, None)
            return True
        else:
            self._near.pop(contact_id, None)
            self._results.append(_not_begun(contact_id))
        return False

    def settle(self, settled: Settled) -> None:
        self.hold(settled.contact_id)
        self._results.append(settled)

    def taken(self, contact_id: str, code: str) -> None:
        """Their mail was accepted with this code."""
        self._taken.setdefault(code, []).append(contact_id)

    def hold(self, contact_id: str) -> None:
        """An answer came and its meaning is open: `settle` follows."""
        self._near.pop(contact_id, None)
        self._gone.discard(contact_id)

    def make_way(self, domain: str, lane: Lane) -> None:
        """A domain was closed: its people get a later turn, so that nobody waits for them."""
        stay: deque[Claimed] = deque()
        for one in self._queue:
            if domain_of(one.address) != domain:
                stay.append(one)
            else:
                self._results.append(_not_begun(one.contact_id, self.gate.after(domain, lane)))
        self._queue = stay

    def ban(self, address: str, settled: Settled) -> None:
        """Never write to this address again."""
        self._banned.append((address, settled))

    def close(self) -> None:
        """Ask `keep` to end. Asked, not cancelled: a claim that commits unseen would skip its
        recipients."""
        self._closing.set()
        self._wanted.set()

    async def keep(self) -> None:
        """Settle and claim until told to close: when asked, and at least every `flush_us`."""
        failures = 0
        while not self._closing.is_set():
            await self._until_wanted()
            self._wanted.clear()
            try:
                await self._turn(claiming=not self._closing.is_set())
            except Exception:  # what is known stays in memory and in the logbook; try again
                log.exception("broadcast.books", delivery=self._delivery_id)
                self.amiss = True
                failures += 1
                if failures >= BOOK_FAILURES:
                    self.stop = Unavailable(reason="the database cannot be written")
                await asyncio.sleep(1.0)
            else:
                failures = 0
            self._asked = False
            self._more.set()

    async def _until_wanted(self) -> None:
        """For `flush_us` at most; so long, too, while the relay's limit lets nobody by: asking
        sooner would only keep the database from others."""
        held_up = self._held_up
        with suppress(TimeoutError), resting() if held_up else nullcontext():
            async with asyncio.timeout(self._pace.flush_us / SECOND):
                await (self._closing if held_up else self._wanted).wait()

    @property
    def _held_up(self) -> bool:
        return not self._queue and self._clock.micros() < self.gate.opens_at

    async def _turn(self, *, claiming: bool) -> None:
        """One transaction: settle what is known, look again at who is welcome, claim more."""
        now = self._clock.micros()
        wanted = 0
        room = len(self._queue) * 2 <= self._pace.chunk
        late = now > self._give_up_at
        open_ = late or now >= self.gate.opens_at
        if claiming and not self._exhausted and room and open_:
            wanted = self._pace.chunk - len(self._queue)
        stale = now - self._checked_at > self._pace.recheck_us
        if not (
            self._results
            or self._taken
            or self._banned
            or self.gate.changed
            or wanted
            or (stale and claiming)
        ):
            return
        results, self._results = self._results, []
        taken, self._taken = self._taken, {}
        banned, self._banned = self._banned, []
        waiting = [*self._near.values(), *self._queue] if stale else []
        try:
            page = await self._clerk.write(
                Known(results, taken, banned),
                waiting=waiting,
                wanted=0 if late else wanted,
                now=now,
                look=stale,
            )
        except BaseException:
            self.gate.lose_turn()
            self._results, self._banned = results + self._results, banned + self._banned
            for code, ids in taken.items():
                self._taken.setdefault(code, []).extend(ids)
            raise
        if page.stop is not None:
            self.stop = page.stop
            return
        if stale:
            self._checked_at = now
        self._send_away(page.gone)
        if (page.asked > 0 and not page.found) or (wanted > 0 and late):
            self._exhausted = True
        for one in page.claimed:
            if one.welcome:
                self._queue.append(one)
            else:
                self._results.append(self._unwelcomed(one.contact_id))
        self._results += [_not_begun(who, at) for who, at in page.later.items()]

    def _unwelcomed(self, contact_id: str) -> Settled:
        """Who may not be written to at this address; at their mail's, that ends it. Of another one
        it says nothing more than that they cannot be reached here."""
        if self._clerk.list_id is not None:
            return Settled(contact_id=contact_id, state=RecipientState.SUPPRESSED, charged=False)
        detail = "this address is not written to any more"
        return Settled(
            contact_id=contact_id, state=RecipientState.UNREACHED, code="barred", detail=detail,
            charged=False,
        )  # fmt: skip

    def _send_away(self, gone: set[str]) -> None:
        """Those who may get nothing any more, unless their mail has left in the meantime."""
        if not gone:
            return
        self._results += [
            self._unwelcomed(one.contact_id) for one in self._queue if one.contact_id in gone
        ]
        self._queue = deque(one for one in self._queue if one.contact_id not in gone)
        for contact_id in gone & self._near.keys():
            del self._near[contact_id]
            self._gone.add(contact_id)


def _not_begun(contact_id: str, next_at: int = 0) -> Settled:
    return Settled(
        contact_id=contact_id, state=RecipientState.PENDING, next_at=next_at, charged=False
    )
