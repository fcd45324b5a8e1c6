"""One delivery to many recipients: nobody skipped, nobody written to twice.

Who gets it is chosen when the delivery starts. Recipients are claimed in chunks and settled in
batches, one transaction for both; a local logbook names each mail before it leaves, so that after
a kill the doubt is one recipient per open connection. Consent and suppression are looked at when
a chunk is claimed and again every half second. Done means: everyone selected is accepted, refused,
suppressed or uncertain.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any

import structlog

from channels.base import Account, Broadcasts
from channels.outcome import Delivered, Outcome, Throttled, Unavailable
from channels.posts import Message
from channels.streams import Paces, Rates
from scheduler.addressing import Addressing
from scheduler.audience.links import UnsubscribeLinks, audience_key
from scheduler.audience.tracking import Trail
from scheduler.books import Books
from scheduler.clerk import Clerk, taken_over
from scheduler.clock import Clock
from scheduler.crowd import Conduct
from scheduler.decide import SECOND
from scheduler.deliveries import Delivery
from scheduler.gate import Gate
from scheduler.inheritance import inherit
from scheduler.leaving import LEAVING, let_go
from scheduler.logbook import Logbook, forget
from scheduler.resting import resting
from scheduler.roster import Member
from scheduler.rounds import Rounds
from scheduler.selection import choose_all
from scheduler.services import Services
from scheduler.stand_in import StandIns
from scheduler.store import recipients as store
from scheduler.store.db import Database
from scheduler.store.recipients import RecipientState
from scheduler.verdicts import Pace, conclusion

log = structlog.get_logger()

LONGEST_NAP = 5.0
_STOPPED = "its worker stopped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Broadcaster:
    """Runs broadcasts. `logbooks`: a local directory; `key`: of the suppression list; `link`:
    the unsubscribe address of a contact for an account (contact id, account id); `trail`: names
    who agreed to that in links (None: nobody)."""

    database: Database
    clock: Clock
    logbooks: Path
    key: bytes
    link: Callable[[str, str], str]
    trail: Trail | None = None
    pace: Pace = field(default_factory=Pace)
    stand_ins: StandIns | None = None
    rng: Random = field(default_factory=Random)

    async def __call__(
        self, delivery: Delivery, message: Message, member: Member, channel: Broadcasts
    ) -> Outcome:
        """Run one claimed delivery; it may be a run that goes on where another stopped."""
        return await self.run(delivery, message, member.account, channel)

    async def run(
        self, delivery: Delivery, message: Message, account: Account[Any], channel: Broadcasts
    ) -> Outcome:
        """Delivered when everyone is accounted for; else why the rest has to wait. Cancelled, it
        gives the delivery back: another worker goes on at once."""
        run = _Run(self, delivery, message, account, channel)
        told = asyncio.create_task(run.heed(LEAVING.get()))
        cut_off = False
        try:
            return await run.through()
        except asyncio.CancelledError:
            cut_off = True
            raise
        finally:
            told.cancel()
            await asyncio.shield(run.leave(cut_off=cut_off))


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
        trail=Trail(public_url=settings.effective_public_url, key=key),
        stand_ins=StandIns(
            database=services.database,
            roster=services.roster,
            clock=services.clock,
            zone=settings.zone,
        ),
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
        rates = channel.rates(account) if isinstance(channel, Paces) else Rates()
        resend = rates.resend or desk.pace.resend_uncertain
        self._desk, self._pace = desk, replace(desk.pace, resend_uncertain=resend)
        self._database, self._clock = desk.database, desk.clock
        self._delivery, self._token = delivery, delivery.token
        self._account = account
        self._by_email = channel.capabilities.address == "email"
        self._logbook = Logbook(desk.logbooks, delivery.id, self._token)
        gate = Gate(desk.database, rates, self._pace, desk.rng)
        self._clerk = Clerk(
            database=desk.database,
            gate=gate,
            delivery_id=delivery.id,
            token=self._token,
            list_id=account.id if self._by_email else None,
            key=desk.key,
        )
        self._books = Books(
            self._clerk, gate, desk.clock, self._pace,
            delivery_id=delivery.id, give_up_at=self._give_up_at,
        )  # fmt: skip
        self._conduct = Conduct(self._books, self._pace)
        self._rounds = Rounds(
            channel, message, account, self._books, self._logbook, self._conduct,
            Addressing(
                key=desk.key, link=desk.link, trail=desk.trail,
                account_id=account.id, delivery_id=delivery.id,
            ),
            clock=desk.clock, pace=self._pace, rng=desk.rng, delivery_id=delivery.id,
            by_email=self._by_email,
        )  # fmt: skip

    # --- The whole run ---------------------------------------------------------------------

    async def heed(self, leaving: asyncio.Event | None) -> None:
        """End the run when its worker stops: whoever goes on knows by then who got their mail."""
        if leaving is not None:
            await leaving.wait()
            self._books.end(Throttled(reason=_STOPPED, ours=True))

    async def through(self) -> Outcome:
        down, begun = 0, await self._begin()
        while begun and not self._books.over():
            fault = await self._rounds.write()
            if self._books.over():
                break
            async with self._database.read() as connection:
                counts = await store.tally(connection, self._delivery.id)
                due = await store.next_due(connection, self._delivery.id)
            reached = self._conduct.reached = counts.get(RecipientState.ACCEPTED, 0)
            if due is None:
                return await self._finish(counts)
            if self._clock.micros() > self._give_up_at:
                await self._expire()
                continue
            if fault is not None and not reached:
                return fault
            down = down + 1 if fault is not None else 0
            await self._nap(due, down)
        assert self._books.stop is not None
        return self._books.stop

    @property
    def _give_up_at(self) -> int:
        patience = self._delivery.due_at + self._pace.patience_us
        deadline = self._delivery.deadline_at
        return patience if deadline is None else min(patience, deadline)

    async def _nap(self, due: int, down: int) -> None:
        wait = (due - self._clock.micros()) / SECOND
        if down:
            wait = max(wait, min(0.5 * 2 ** min(down, 10), 60.0))
        with resting(), suppress(TimeoutError):
            async with asyncio.timeout(min(max(wait, 0.0), LONGEST_NAP if not down else 60.0)):
                await self._books.ended.wait()

    async def _begin(self) -> bool:
        """Choose who gets it, and settle what an earlier run left in doubt."""
        why = await choose_all(
            self._clerk,
            self._clock,
            self._delivery,
            account_id=self._account.id,
            by_email=self._by_email,
            at_once=self._pace.selection,
            told=lambda: self._books.stop,
        )
        now = self._clock.micros()
        async with self._database.write() as connection:
            why = why or await self._clerk.stop(connection, now)
            if why is not None:
                self._books.end(why)
            if self._books.over():
                return False
            strays = await inherit(
                connection,
                self._desk.logbooks,
                delivery_id=self._delivery.id,
                token=self._token,
                resend=self._pace.resend_uncertain,
                now=now,
            )
        for token in strays:
            forget(self._desk.logbooks, self._delivery.id, token)
        return True

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
        awaited = counts.get(RecipientState.UNREACHED) or not self._by_email
        if awaited and self._desk.stand_ins is not None:
            placed = await self._desk.stand_ins.place(self._delivery, self._token)
            if placed is None:
                return taken_over()
            counts = placed
        outcome = conclusion(counts, self._delivery.id)
        if isinstance(outcome, Delivered):
            await store.touch(self._database, self._delivery.id, now=self._clock.micros())
        return outcome

    async def leave(self, *, cut_off: bool) -> None:
        """Write down what is known and give back what was not begun. The logbook stays when SQL
        may not know all of it. `cut_off`: whom the mails under way reached, nobody will tell; the
        rest is for whoever comes next, unless our logbook alone knows of some."""
        self._conduct.settle_refusals()
        if cut_off:
            self._books.stop = Unavailable(reason=_STOPPED)
        try:
            await self._books.close_round()
        except Exception:
            log.exception("broadcast.unsettled", delivery=self._delivery.id)
            self._books.amiss = True
        self._logbook.close(settled=not self._books.amiss)
        if cut_off and not self._books.amiss:
            await let_go(self._database, self._clock, self._delivery)
