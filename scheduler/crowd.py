"""The crowd of one broadcast as its couriers see it: who is next, and what became of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from random import Random

import structlog

from channels.base import Courier, Recipient
from channels.outcome import (
    Accepted,
    Delivered,
    Outcome,
    RecipientOutcome,
    Rejected,
    Throttled,
    Unavailable,
    Unconfirmed,
    Unreachable,
)
from scheduler.books import Books
from scheduler.clock import Clock
from scheduler.lanes import domain_of
from scheduler.logbook import Logbook
from scheduler.store.recipients import Claimed, RecipientState, Settled
from scheduler.verdicts import Pace, judge, too_many_losses, too_many_refusals

log = structlog.get_logger()


class Conduct:
    """How a run goes, over all its connections: one that goes wrong in the same way again and
    again ends. `reached`: how many mails were accepted."""

    def __init__(self, books: Books, pace: Pace) -> None:
        self._books, self._pace = books, pace
        self._refusals: list[tuple[Settled, Rejected]] = []
        self._losses = 0
        self.reached = 0

    def went_well(self) -> None:
        self.reached += 1
        self._losses = 0
        if self._refusals:
            self.settle_refusals()

    def refused(self, settled: Settled, outcome: Rejected) -> None:
        self._books.hold(settled.contact_id)
        self._refusals.append((settled, outcome))
        if len(self._refusals) >= self._pace.in_a_row:
            self._books.stop = too_many_refusals(outcome, reached=self.reached)

    def lost(self, outcome: Unconfirmed) -> None:
        self._losses += 1
        if self._losses >= self._pace.in_a_row:
            self._books.stop = too_many_losses(outcome)

    def settle_refusals(self) -> None:
        """When the run stops it was us, not them: they are written to once the cause is mended."""
        state = RecipientState.REFUSED if self._books.stop is None else RecipientState.PENDING
        for settled, _ in self._refusals:
            self._books.settle(replace(settled, state=state))
        self._refusals.clear()


class Crowd:
    """Implements `channels.abilities.Crowd` for one connection. `by_email`: they have no other
    address than the mail that this goes to; `road`: which relay the connection is to."""

    def __init__(
        self,
        books: Books,
        logbook: Logbook,
        conduct: Conduct,
        *,
        clock: Clock,
        pace: Pace,
        rng: Random,
        recipient_of: Callable[[Claimed], Recipient],
        by_email: bool,
        key: str,
        road: Callable[[], str],
    ) -> None:
        self._books, self._logbook, self._conduct = books, logbook, conduct
        self._clock, self._pace, self._rng = clock, pace, rng
        self._recipient_of, self._key = recipient_of, key
        self._by_email, self._road = by_email, road
        self._open: dict[str, Claimed] = {}
        self._left: set[str] = set()

    def next(self) -> tuple[Recipient, str] | None:
        claimed = self._books.next()
        if claimed is None:
            return None
        self._open[claimed.contact_id] = claimed
        return self._recipient_of(claimed), self._key + claimed.contact_id

    def leaving(self, recipient: Recipient) -> bool:
        contact_id = recipient.id
        if not self._books.leaving(contact_id):
            del self._open[contact_id]
            return False
        self._logbook.leaving(contact_id)
        self._left.add(contact_id)
        return True

    def taken(self, recipient: Recipient, code: str) -> None:
        contact_id = recipient.id
        del self._open[contact_id]
        self._left.discard(contact_id)
        self._logbook.answered(contact_id, RecipientState.ACCEPTED, code)
        self._books.taken(contact_id, code)
        self._conduct.went_well()
        self._books.gate.went_well(recipient.address, self._road)

    def answered(self, recipient: Recipient, outcome: RecipientOutcome) -> bool:
        contact_id = recipient.id
        claimed = self._open.pop(contact_id)
        self._left.discard(contact_id)
        verdict = judge(
            outcome, contact_id, claimed.tries, self._clock.micros(), self._pace, self._rng
        )
        settled = verdict.settled
        if isinstance(outcome, Unreachable) and not self._by_email:
            settled = replace(settled, state=RecipientState.UNREACHED)
        self._logbook.answered(contact_id, settled.state, settled.code)
        if verdict.stop is None and isinstance(outcome, Throttled | Unavailable):
            settled = self._refused_for_now(claimed, outcome, settled)
        if isinstance(outcome, Rejected):
            self._conduct.refused(settled, outcome)
        else:
            self._books.settle(settled)
        if verdict.suppress:
            self._books.ban(claimed.address, settled)
        if isinstance(outcome, Delivered | Accepted):
            self._conduct.went_well()
            self._books.gate.went_well(claimed.address, self._road)
        elif isinstance(outcome, Unconfirmed):
            self._conduct.lost(outcome)
        if verdict.stop is not None:
            self._books.stop = verdict.stop
        return verdict.broken

    def _refused_for_now(
        self, claimed: Claimed, outcome: Throttled | Unavailable, settled: Settled
    ) -> Settled:
        """Close the domain if it wants that. Who closed it comes after the others there: one
        mailbox that is always too busy must not use up everyone's patience."""
        if outcome.evidence.status is None:
            return settled  # the road's own trouble, not that of the addressee's domain
        slow = isinstance(outcome, Throttled)
        now = self._clock.micros()
        lane = self._books.gate.refused_for_now(claimed.address, now, road=self._road(), slow=slow)
        if lane is None:
            return settled
        self._books.make_way(domain_of(claimed.address), lane)
        behind = lane.closed_until + self._pace.defer_us
        return replace(settled, next_at=max(settled.next_at, behind))

    def abandoned(self, detail: str) -> None:
        """The courier failed in a way that nobody foresaw: what had left may have been accepted,
        the others go back."""
        for contact_id, claimed in tuple(self._open.items()):
            if contact_id in self._left:
                self.answered(self._recipient_of(claimed), Unconfirmed(detail=detail))
        self._open.clear()


async def one_by_one(courier: Courier, crowd: Crowd) -> Outcome | None:
    """Write to a crowd over a courier that takes one recipient at a time."""
    while (chosen := crowd.next()) is not None:
        recipient, key = chosen
        if not crowd.leaving(recipient):
            continue
        try:
            outcome = await courier.send(recipient, key=key)
        except Exception as error:
            log.exception("courier.unforeseen", recipient=recipient.id)
            outcome = Unconfirmed(detail=f"unforeseen {type(error).__name__} in the adapter")
        if crowd.answered(recipient, outcome) and not isinstance(outcome, Unreachable):
            return outcome
    return None
