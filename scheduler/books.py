"""The books of one broadcast: who is claimed, what became of them, who may still be written to.

One transaction settles what is known and claims what comes next; between two of them everything
is in memory and in the logbook.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import replace
from typing import Any

import structlog

from channels.outcome import Outcome, Throttled, Unavailable
from scheduler.audience.suppression import fingerprint
from scheduler.clock import Clock, moment
from scheduler.decide import SECOND
from scheduler.logbook import Logbook
from scheduler.store import recipients as store
from scheduler.store import turns
from scheduler.store.db import Database
from scheduler.store.recipients import Claimed, RecipientState, Settled
from scheduler.verdicts import Pace

log = structlog.get_logger()

BOOK_FAILURES = 30


class Books:
    """Shared by the connections of one run. `stop`: why the run has to end, None while it may go
    on. `list_id`: whose subscribers are welcome (None: an address is enough). `give_up_at`:
    nobody is claimed after it (microseconds)."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        *,
        delivery_id: str,
        token: str,
        list_id: str | None,
        key: bytes,
        logbook: Logbook,
        pace: Pace,
        give_up_at: int,
    ) -> None:
        self._database, self._clock = database, clock
        self._delivery_id, self._token = delivery_id, token
        self._list_id, self._key = list_id, key
        self._logbook, self._pace = logbook, pace
        self._give_up_at = give_up_at
        self._queue: deque[Claimed] = deque()
        self._near: dict[str, Claimed] = {}  # given out, and nothing of their mail has left
        self._gone: set[str] = set()
        self._results: list[Settled] = []
        self._taken: dict[str, list[str]] = {}  # who was accepted, by the code of the answer
        self._banned: list[tuple[str, Settled]] = []
        self._checked_at = 0
        self._exhausted = False
        self._closing = False
        self._wanted = asyncio.Event()
        self._more = asyncio.Event()
        self.amiss = False
        self.stop: Outcome | None = None

    @property
    def waiting(self) -> int:
        """How many are claimed and not yet begun."""
        return len(self._queue)

    async def open_round(self) -> bool:
        """Claim who is due; whether there is anybody to write to."""
        self._exhausted = self._closing = False
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
        if len(self._queue) * 2 <= self._pace.chunk and not self._exhausted:
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
            self._results.append(_suppressed(contact_id))
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

    def ban(self, address: str, settled: Settled) -> None:
        """Never write to this address again."""
        self._banned.append((address, settled))

    def close(self) -> None:
        """Ask `keep` to end. Asked, not cancelled: a claim that commits unseen would skip its
        recipients."""
        self._closing = True
        self._wanted.set()

    async def keep(self) -> None:
        """Settle and claim until told to close: when asked, and at least every `flush_us`."""
        failures = 0
        while not self._closing:
            try:
                async with asyncio.timeout(self._pace.flush_us / SECOND):
                    await self._wanted.wait()
            except TimeoutError:
                pass
            self._wanted.clear()
            try:
                await self._turn(claiming=not self._closing)
            except Exception:  # what is known stays in memory and in the logbook; try again
                log.exception("broadcast.books", delivery=self._delivery_id)
                self.amiss = True
                failures += 1
                if failures >= BOOK_FAILURES:
                    self.stop = Unavailable(reason="the database cannot be written")
                await asyncio.sleep(1.0)
            else:
                failures = 0
            self._more.set()

    async def _turn(self, *, claiming: bool) -> None:
        """One transaction: settle what is known, look again at who is welcome, claim more."""
        now = self._clock.micros()
        wanted = 0
        if claiming and not self._exhausted and len(self._queue) * 2 <= self._pace.chunk:
            wanted = self._pace.chunk - len(self._queue)
        stale = now - self._checked_at > self._pace.recheck_us
        if not (self._results or self._taken or self._banned or wanted or (stale and claiming)):
            return
        results, self._results = self._results, []
        taken, self._taken = self._taken, {}
        banned, self._banned = self._banned, []
        try:
            claimed, gone = await self._write(results, taken, banned, wanted, now, recheck=stale)
        except BaseException:
            self._results, self._banned = results + self._results, banned + self._banned
            for code, ids in taken.items():
                self._taken.setdefault(code, []).extend(ids)
            raise
        if gone:
            self._queue = deque(one for one in self._queue if one.contact_id not in gone)
            near = gone & self._near.keys()
            self._gone |= near
            for contact_id in near:
                del self._near[contact_id]
            gone -= near
        self._exhausted = self._exhausted or (wanted > 0 and not claimed)
        for one in claimed:
            if one.welcome:
                self._queue.append(one)
            else:
                self._results.append(_suppressed(one.contact_id))
        self._results += [_suppressed(contact_id) for contact_id in gone]

    async def _write(
        self,
        results: list[Settled],
        taken: dict[str, list[str]],
        banned: list[tuple[str, Settled]],
        wanted: int,
        now: int,
        *,
        recheck: bool,
    ) -> tuple[list[Claimed], set[str]]:
        claimed: list[Claimed] = []
        gone: set[str] = set()
        async with self._database.write() as connection:
            await turns.settle(
                connection,
                delivery_id=self._delivery_id,
                token=self._token,
                settled=results,
                now=now,
            )
            await turns.accept(
                self._database,
                connection,
                delivery_id=self._delivery_id,
                token=self._token,
                taken=taken,
                now=now,
            )
            await store.suppress(self._database, connection, self._bans(banned, now))
            if not await self.ours(connection, now):
                return [], set()
            if recheck:
                waiting = [*self._near.values(), *self._queue]
                gone = await self._unwelcome(connection, waiting)
                self._checked_at = now
            if wanted and now <= self._give_up_at:
                rows = await turns.claim(
                    self._database,
                    connection,
                    delivery_id=self._delivery_id,
                    token=self._token,
                    now=now,
                    limit=wanted,
                )
                claimed = await turns.people(self._database, connection, rows, self._list_id)
                barred = await self._barred(connection, claimed)
                claimed = [
                    replace(one, welcome=False) if one.contact_id in barred else one
                    for one in claimed
                ]
        return claimed, gone

    async def ours(self, connection: Any, now: int) -> bool:
        """Whether this run may go on; else `stop` says why not."""
        paused_until = await store.lease_of(
            self._database, connection, self._delivery_id, self._token
        )
        if paused_until is None:
            self.stop = taken_over()
        elif paused_until > now:
            self.stop = Throttled(until=moment(paused_until), reason="the account is paused")
        return self.stop is None

    async def _unwelcome(self, connection: Any, waiting: list[Claimed]) -> set[str]:
        """Who of those waiting in memory unsubscribed or was suppressed since."""
        if not waiting:
            return set()
        ids = [one.contact_id for one in waiting]
        welcome = await turns.subscribed(self._database, connection, ids, self._list_id)
        return {who for who in ids if who not in welcome} | await self._barred(connection, waiting)

    async def _barred(self, connection: Any, people: list[Claimed]) -> set[str]:
        hashes = {fingerprint(self._key, one.address): one.contact_id for one in people}
        if not hashes:
            return set()
        return {
            hashes[found] for found in await turns.suppressed(self._database, connection, hashes)
        }

    def _bans(self, banned: list[tuple[str, Settled]], now: int) -> list[dict[str, Any]]:
        return [
            {
                "hash": fingerprint(self._key, address),
                "reason": "no-such-address",
                "detail": settled.code,
                "at": now,
            }
            for address, settled in banned
        ]


def _suppressed(contact_id: str) -> Settled:
    return Settled(contact_id=contact_id, state=RecipientState.SUPPRESSED, charged=False)


def _not_begun(contact_id: str) -> Settled:
    return Settled(contact_id=contact_id, state=RecipientState.PENDING, charged=False)


def taken_over() -> Outcome:
    """What a run that lost its claim says: evidence only, its successor decides."""
    return Unavailable(reason="another worker took this delivery over")
