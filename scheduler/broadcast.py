"""One delivery to many recipients: nobody skipped, nobody written to twice.

Who gets it is frozen when the delivery starts. Recipients are claimed in chunks and settled in
batches, one transaction for both; a local logbook names each mail before it leaves, so that after
a kill the doubt is one recipient per open connection. Consent and suppression are looked at when
a chunk is claimed and again every half second. Done means: everyone selected is accepted, refused,
suppressed or uncertain.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any

import structlog

from channels.base import Account, Broadcasts, Courier, Message, Recipient
from channels.outcome import (
    Delivered,
    Outcome,
    RecipientOutcome,
    Rejected,
    Throttled,
    Unavailable,
    Unconfirmed,
)
from scheduler.audience.links import UnsubscribeLinks, audience_key
from scheduler.audience.suppression import fingerprint
from scheduler.clock import Clock, moment
from scheduler.decide import SECOND
from scheduler.deliveries import Delivery
from scheduler.logbook import Logbook, forget, trace_of
from scheduler.roster import Member
from scheduler.services import Services
from scheduler.store import recipients as store
from scheduler.store.db import Database
from scheduler.store.recipients import Claimed, RecipientState, Settled
from scheduler.verdicts import (
    Pace,
    conclusion,
    judge,
    too_many_losses,
    too_many_refusals,
)

log = structlog.get_logger()

LONGEST_NAP = 5.0
BOOK_FAILURES = 30
_DOUBT = "the worker stopped while this mail was under way"


@dataclass(frozen=True, slots=True, kw_only=True)
class Broadcaster:
    """Runs broadcasts. `logbooks`: a local directory; `key`: of the suppression list; `link`:
    the unsubscribe address of a contact for an account (contact id, account id)."""

    database: Database
    clock: Clock
    logbooks: Path
    key: bytes
    link: Callable[[str, str], str]
    pace: Pace = field(default_factory=Pace)
    rng: Random = field(default_factory=Random)

    async def __call__(
        self, delivery: Delivery, message: Message, member: Member, channel: Broadcasts
    ) -> Outcome:
        """Run one claimed delivery; it may be a run that goes on where another stopped."""
        return await self.run(delivery, message, member.account, channel)

    async def run(
        self, delivery: Delivery, message: Message, account: Account[Any], channel: Broadcasts
    ) -> Outcome:
        """Delivered when everyone is accounted for; else why the rest has to wait."""
        run = _Run(self, delivery, message, account, channel)
        try:
            return await run.through()
        finally:
            await asyncio.shield(run.leave())


def broadcaster(services: Services) -> Broadcaster:
    """The broadcaster of one worker."""
    settings = services.settings
    key = audience_key(settings.audience_key.get_secret_value(), settings.data_dir)
    return Broadcaster(
        database=services.database,
        clock=services.clock,
        logbooks=settings.data_dir / "logbooks",
        key=key,
        link=UnsubscribeLinks(settings.effective_public_url, key).link,
    )


class _Run:
    """One run of one delivery, with everything it shares between its connections."""

    def __init__(
        self,
        desk: Broadcaster,
        delivery: Delivery,
        message: Message,
        account: Account[Any],
        channel: Broadcasts,
    ) -> None:
        assert delivery.token is not None  # claimed deliveries have one
        self._desk, self._pace = desk, desk.pace
        self._database, self._clock = desk.database, desk.clock
        self._delivery, self._token = delivery, delivery.token
        self._message, self._account, self._channel = message, account, channel
        self._by_email = channel.capabilities.address == "email"
        self._list_id = account.id if self._by_email else None
        self._logbook = Logbook(desk.logbooks, delivery.id, self._token)
        self._queue: deque[Claimed] = deque()
        self._results: list[Settled] = []
        self._banned: list[tuple[str, Settled]] = []
        self._refusals: list[tuple[Settled, Rejected]] = []
        self._losses = 0
        self._reached = 0
        self._checked_at = 0
        self._exhausted = False
        self._closing = False
        self._amiss = False
        self._stop: Outcome | None = None
        self._wanted = asyncio.Event()
        self._more = asyncio.Event()

    # --- The whole run ---------------------------------------------------------------------

    async def through(self) -> Outcome:
        if not await self._begin():
            return self._stop or _taken_over()
        down = 0
        while True:
            fault = await self._round()
            if self._stop is not None:
                return self._stop
            async with self._database.read() as connection:
                counts = await store.tally(connection, self._delivery.id)
                due = await store.next_due(connection, self._delivery.id)
            self._reached = counts.get(RecipientState.ACCEPTED, 0)
            if due is None:
                return await self._finish(counts)
            if self._clock.micros() > self._give_up_at:
                await self._expire()
                continue
            if fault is not None and not self._reached:
                return fault
            down = down + 1 if fault is not None else 0
            await self._nap(due, down)

    @property
    def _give_up_at(self) -> int:
        patience = self._delivery.due_at + self._pace.patience_us
        deadline = self._delivery.deadline_at
        return patience if deadline is None else min(patience, deadline)

    async def _nap(self, due: int, down: int) -> None:
        wait = (due - self._clock.micros()) / SECOND
        if down:
            wait = max(wait, min(0.5 * 2 ** min(down, 10), 60.0))
        await asyncio.sleep(min(max(wait, 0.0), LONGEST_NAP if not down else 60.0))

    async def _begin(self) -> bool:
        """Freeze who gets it, and settle what an earlier run left in doubt."""
        now = self._clock.micros()
        async with self._database.write() as connection:
            if not await self._ours(connection, now):
                return False
            await store.freeze(
                self._database,
                connection,
                delivery_id=self._delivery.id,
                account_id=self._account.id,
                by_email=self._by_email,
                now=now,
            )
            strays = await store.strays(connection, self._delivery.id, self._token)
            for token, contact_ids in strays.items():
                settled = self._retraced(token, contact_ids)
                await store.settle(
                    connection,
                    delivery_id=self._delivery.id,
                    token=token,
                    settled=settled,
                    now=now,
                )
        for token in strays:
            forget(self._desk.logbooks, self._delivery.id, token)
        return True

    def _retraced(self, token: str, contact_ids: list[str]) -> list[Settled]:
        """What the logbook of an earlier run says of what it had claimed."""
        trace = trace_of(self._desk.logbooks, self._delivery.id, token)
        answers = {who: (RecipientState(state), code) for who, state, code in trace.answers}
        doubt = RecipientState.UNCERTAIN
        if self._pace.resend_uncertain:
            doubt = RecipientState.PENDING
        found = []
        for who in contact_ids:
            if who in trace.left or not trace.proves:
                found.append(Settled(contact_id=who, state=doubt, detail=_DOUBT))
            else:
                state, code = answers.get(who, (RecipientState.PENDING, ""))
                found.append(Settled(contact_id=who, state=state, code=code))
        uncertain = [one.contact_id for one in found if one.state is RecipientState.UNCERTAIN]
        if uncertain:
            log.warning("broadcast.uncertain", delivery=self._delivery.id, contacts=uncertain)
        return found

    async def _expire(self) -> None:
        detail = "still refused for now when its time was over"
        async with self._database.write() as connection:
            await store.expire(
                connection, self._delivery.id, detail=detail, now=self._clock.micros()
            )

    async def _finish(self, counts: dict[RecipientState, int]) -> Outcome:
        open_states = (RecipientState.PENDING, RecipientState.SENDING)
        if any(counts.get(state) for state in open_states):
            return Unavailable(reason=f"not everyone is accounted for: {counts}")
        outcome = conclusion(counts, self._delivery.id)
        if isinstance(outcome, Delivered):
            async with self._database.write() as connection:
                await store.touch(connection, self._delivery.id, now=self._clock.micros())
        return outcome

    async def leave(self) -> None:
        """Write down what is known and give back what was not begun. The logbook stays when SQL
        may not know all of it."""
        self._settle_refusals()
        self._give_back()
        try:
            await self._turn(claiming=False)
        except Exception:
            log.exception("broadcast.unsettled", delivery=self._delivery.id)
            self._amiss = True
        self._logbook.close(settled=not self._amiss)

    # --- One round: everyone who is due now ------------------------------------------------

    async def _round(self) -> Outcome | None:
        """Write to everyone who is due; the fault when the road failed before the end."""
        self._exhausted = False
        await self._turn(claiming=True)
        if not self._queue or self._stop is not None:
            self._give_back()
            await self._turn(claiming=False)
            return None
        first = await self._channel.open(self._message, self._account)
        if isinstance(first, Outcome):
            self._give_back()
            await self._turn(claiming=False)
            if not isinstance(first, Unavailable):
                self._stop = first
            return first
        couriers = [
            first,
            *await self._more_couriers(min(len(self._queue), self._pace.connections)),
        ]
        self._closing = False
        clerk = asyncio.create_task(self._keep_books())
        try:
            faults = await asyncio.gather(*(self._carry(courier) for courier in couriers))
        finally:
            # Asked, not cancelled: a claim that commits unseen would skip its recipients.
            self._closing = True
            self._wanted.set()
            await clerk
        self._settle_refusals()
        self._give_back()
        await self._turn(claiming=False)
        return next((fault for fault in faults if fault is not None), None)

    async def _more_couriers(self, wanted: int) -> list[Courier]:
        """Further connections; a relay that allows fewer gets fewer."""
        opened = await asyncio.gather(
            *(self._channel.open(self._message, self._account) for _ in range(wanted - 1))
        )
        return [courier for courier in opened if not isinstance(courier, Outcome)]

    async def _carry(self, courier: Courier) -> Outcome | None:
        """Write to one recipient after the other on one connection; its fault, if it failed."""
        try:
            while (claimed := await self._next()) is not None:
                self._logbook.leaving(claimed.contact_id)
                outcome = await self._send(courier, claimed)
                if self._settled(claimed, outcome):
                    assert isinstance(outcome, Outcome)
                    return outcome
        finally:
            self._logbook.flush()
            await courier.close()
        return None

    async def _send(self, courier: Courier, claimed: Claimed) -> RecipientOutcome:
        recipient = Recipient(
            id=claimed.contact_id,
            address=claimed.address,
            name=claimed.name,
            language=claimed.language,
            attributes=claimed.attributes,
            unsubscribe_url=self._desk.link(claimed.contact_id, self._account.id),
        )
        try:
            return await courier.send(recipient, key=f"{self._delivery.id}/{claimed.contact_id}")
        except Exception as error:
            log.exception("courier.unforeseen", delivery=self._delivery.id)
            return Unconfirmed(detail=f"unforeseen {type(error).__name__} in the adapter")

    async def _next(self) -> Claimed | None:
        while not self._queue:
            if self._exhausted or self._stop is not None:
                return None
            self._logbook.flush()
            self._more.clear()
            self._wanted.set()
            await self._more.wait()
        if self._stop is not None:
            return None
        if len(self._queue) * 2 <= self._pace.chunk and not self._exhausted:
            self._wanted.set()
        return self._queue.popleft()

    def _settled(self, claimed: Claimed, outcome: RecipientOutcome) -> bool:
        """Record one outcome; whether the connection is broken."""
        verdict = judge(
            outcome,
            claimed.contact_id,
            claimed.tries,
            self._clock.micros(),
            self._pace,
            self._desk.rng,
        )
        settled = verdict.settled
        self._logbook.answered(settled.contact_id, settled.state, settled.code)
        if isinstance(outcome, Rejected):
            self._refusals.append((settled, outcome))
        else:
            self._results.append(settled)
        if verdict.suppress:
            self._banned.append((claimed.address, settled))
        self._count(outcome)
        if verdict.stop is not None:
            self._stop = verdict.stop
        return verdict.broken

    def _count(self, outcome: RecipientOutcome) -> None:
        """A run that goes wrong in the same way again and again stops."""
        if isinstance(outcome, Delivered):
            self._reached += 1
            self._losses = 0
            self._settle_refusals()
        elif isinstance(outcome, Unconfirmed):
            self._losses += 1
            if self._losses >= self._pace.in_a_row:
                self._stop = too_many_losses(outcome)
        elif isinstance(outcome, Rejected) and len(self._refusals) >= self._pace.in_a_row:
            self._stop = too_many_refusals(outcome, reached=self._reached)

    def _settle_refusals(self) -> None:
        """When the run stops it was us, not them: they are written to once the cause is mended."""
        if self._refusals:
            state = RecipientState.REFUSED if self._stop is None else RecipientState.PENDING
            self._results += [replace(settled, state=state) for settled, _ in self._refusals]
            self._refusals.clear()

    # --- The books -------------------------------------------------------------------------

    async def _keep_books(self) -> None:
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
                log.exception("broadcast.books", delivery=self._delivery.id)
                self._amiss = True
                failures += 1
                if failures >= BOOK_FAILURES:
                    self._stop = Unavailable(reason="the database cannot be written")
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
        if not (self._results or self._banned or wanted or (stale and claiming)):
            return
        results, self._results = self._results, []
        banned, self._banned = self._banned, []
        try:
            claimed, gone = await self._write(results, banned, wanted, now, recheck=stale)
        except BaseException:
            self._results, self._banned = results + self._results, banned + self._banned
            raise
        if gone:
            self._queue = deque(one for one in self._queue if one.contact_id not in gone)
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
        banned: list[tuple[str, Settled]],
        wanted: int,
        now: int,
        *,
        recheck: bool,
    ) -> tuple[list[Claimed], set[str]]:
        claimed: list[Claimed] = []
        gone: set[str] = set()
        async with self._database.write() as connection:
            await store.settle(
                connection,
                delivery_id=self._delivery.id,
                token=self._token,
                settled=results,
                now=now,
            )
            await store.suppress(self._database, connection, self._bans(banned, now))
            if not await self._ours(connection, now):
                return [], set()
            if recheck:
                waiting = list(self._queue)
                gone = await self._unwelcome(connection, waiting)
                self._checked_at = now
            if wanted and now <= self._give_up_at:
                rows = await store.claim(
                    self._database,
                    connection,
                    delivery_id=self._delivery.id,
                    token=self._token,
                    now=now,
                    limit=wanted,
                )
                claimed = await store.people(connection, rows, self._list_id)
                barred = await self._barred(connection, claimed)
                claimed = [
                    replace(one, welcome=False) if one.contact_id in barred else one
                    for one in claimed
                ]
        return claimed, gone

    async def _ours(self, connection: Any, now: int) -> bool:
        """Whether this run may go on; else `_stop` says why not."""
        paused_until = await store.lease_of(
            self._database, connection, self._delivery.id, self._token
        )
        if paused_until is None:
            self._stop = _taken_over()
        elif paused_until > now:
            self._stop = Throttled(until=moment(paused_until), reason="the account is paused")
        return self._stop is None

    async def _unwelcome(self, connection: Any, waiting: list[Claimed]) -> set[str]:
        """Who of those waiting in memory unsubscribed or was suppressed since."""
        if not waiting:
            return set()
        ids = [one.contact_id for one in waiting]
        welcome = await store.subscribed(connection, ids, self._list_id)
        return {who for who in ids if who not in welcome} | await self._barred(connection, waiting)

    async def _barred(self, connection: Any, people: list[Claimed]) -> set[str]:
        hashes = {fingerprint(self._desk.key, one.address): one.contact_id for one in people}
        if not hashes:
            return set()
        return {hashes[found] for found in await store.suppressed(connection, list(hashes))}

    def _bans(self, banned: list[tuple[str, Settled]], now: int) -> list[dict[str, Any]]:
        return [
            {
                "hash": fingerprint(self._desk.key, address),
                "reason": "no-such-address",
                "detail": settled.code,
                "at": now,
            }
            for address, settled in banned
        ]

    def _give_back(self) -> None:
        """What waits in memory was certainly not begun."""
        self._results += [
            Settled(contact_id=one.contact_id, state=RecipientState.PENDING, charged=False)
            for one in self._queue
        ]
        self._queue.clear()


def _suppressed(contact_id: str) -> Settled:
    return Settled(contact_id=contact_id, state=RecipientState.SUPPRESSED, charged=False)


def _taken_over() -> Outcome:
    return Unavailable(reason="another worker took this delivery over")
