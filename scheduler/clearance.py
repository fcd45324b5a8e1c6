"""Whether a claimed delivery may go now, and what becomes of one that may not: put back with a
later time, held, or closed. Pure: what is to be written is gathered in a `Batch`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from channels.posts import Part
from scheduler.attempt import Armed
from scheduler.changes import Change, columns, event
from scheduler.decide import SECOND
from scheduler.deliveries import Delivery, HoldReason, LatePolicy, State
from scheduler.late import Lateness, LateRules, judge
from scheduler.limits import FOREVER, PAUSES
from scheduler.plan import BY_HAND
from scheduler.roster import Member
from scheduler.store.events import Event

_WAIT_FOR_POST = 2 * SECOND
_WAIT_FOR_KEY = 30 * SECOND
# Its words were to lead to an article that does not stand: rendered again, they do not.
LATE_ARTICLE = "its article was not there in time: it goes out without a link to it"
_DROPPED = "its time had passed, and its late policy is to drop it"
_AFTER_DROP = "publish it again if it still matters"
_AFTER_ASK = "publish it now, send it elsewhere, or cancel it"
_ASK_WHEN = {
    Lateness.TOO_LATE: "its deadline had passed before it could go out",
    Lateness.ASK: "its time had passed, and its late policy is to ask",
}
# What a pause without end holds for, by its reason: a person or a probe has to end it.
_HOLD_FOR = {"suspected": HoldReason.SUSPECTED, BY_HAND: HoldReason.BY_HAND}


@dataclass(slots=True)
class Batch:
    """The result of one claim."""

    armed: list[Armed] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    moved: list[tuple[Delivery, str]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Clearance:
    """The rules of one worker."""

    late: LateRules
    worker: str

    def refuses(
        self,
        batch: Batch,
        delivery: Delivery,
        member: Member,
        row: Mapping[str, Any],
        now: int,
        *,
        begun: bool = False,
    ) -> bool:
        """Whether the delivery may not go now; what becomes of it is in the batch. `begun`: some of
        its readers have it."""
        # It is claimed ahead of its time: what counts is whether the pause is over by then.
        if member.paused_until > max(now, delivery.due_at):
            self.pause(batch, delivery, member.paused_until, member.pause_reason, now)
            return True
        return self._late(batch, delivery, row, now, begun=begun)

    def closed(
        self, batch: Batch, delivery: Delivery, row: Mapping[str, Any], why: str, now: int
    ) -> None:
        """Wait until its account can be opened again; whoever probes it tells its owner."""
        if self._late(batch, delivery, row, now, begun=False):
            return
        cause = f"its account cannot be opened: {why}"
        kind = "" if delivery.cause == cause else "delivery.deferred"
        again = max(now, delivery.due_at) + _WAIT_FOR_KEY
        self.change(batch, delivery, kind, State.SCHEDULED, now, due_at=again, cause=cause)

    def _late(
        self, batch: Batch, delivery: Delivery, row: Mapping[str, Any], now: int, *, begun: bool
    ) -> bool:
        """Whether its time has passed, as its late policy has it."""
        verdict = judge(delivery, LatePolicy(row["late_policy"]), now, self.late, begun=begun)
        if verdict is Lateness.DROP:
            self.change(
                batch, delivery, "delivery.failed", State.FAILED, now,
                action=_AFTER_DROP, cause=_DROPPED,
            )  # fmt: skip
        elif verdict in _ASK_WHEN:
            self.change(
                batch, delivery, "delivery.held", State.HELD, now,
                action=_AFTER_ASK, hold_reason=HoldReason.LATE, cause=_ASK_WHEN[verdict],
            )  # fmt: skip
        return verdict in {Lateness.DROP, *_ASK_WHEN}

    def pause(self, batch: Batch, delivery: Delivery, until: int, why: str, now: int) -> None:
        """Wait for the end of the account's pause, or take another road where that is too late; for
        a pause without end, be held."""
        cause = f"account paused: {PAUSES.get(why, why)}"
        deadline = delivery.deadline_at or delivery.planned_at + self.late.default_deadline_us
        if until < FOREVER:
            if until > deadline and delivery.part is Part.POST:
                batch.moved.append((delivery, f"would miss its deadline: {cause}"))
                return
            self.change(
                batch, delivery, "delivery.deferred", State.SCHEDULED, now,
                due_at=until, cause=cause,
            )  # fmt: skip
            return
        self.change(
            batch, delivery, "delivery.held", State.HELD, now,
            hold_reason=_HOLD_FOR.get(why, HoldReason.ACCESS_LOST), look_at=deadline, cause=cause,
        )  # fmt: skip

    def unclear(self, batch: Batch, delivery: Delivery, why: str, now: int) -> None:
        """What cannot be judged goes nowhere by itself, and its owner hears of it."""
        self.change(
            batch, delivery, "delivery.held", State.HELD, now, action=_AFTER_ASK,
            hold_reason=HoldReason.NO_ROAD, cause=f"whether it may go cannot be told ({why})",
        )  # fmt: skip

    def drop_link(self, batch: Batch, delivery: Delivery, now: int) -> None:
        """Rendered again at once, in words that lead to no article."""
        self.change(
            batch, delivery, "delivery.deferred", State.SCHEDULED, now,
            due_at=delivery.due_at, cause=LATE_ARTICLE,
        )  # fmt: skip

    def comment_waits(self, batch: Batch, delivery: Delivery, main: Any, now: int) -> bool:
        """A comment goes out once its post is there, and not at all if it never will be."""
        if main is not None and main.state == State.DELIVERED:
            return False
        if main is None or main.state in (State.FAILED, State.REROUTED):
            self.change(batch, delivery, "delivery.cancelled", State.CANCELLED, now,
                         cause="the post that it comments on did not go out here")  # fmt: skip
        else:
            # From its own time on: as it is claimed ahead of that, it would be claimed at once.
            again = max(now, delivery.due_at) + _WAIT_FOR_POST
            self.change(batch, delivery, "", State.SCHEDULED, now, due_at=again,
                         cause="waits for its post")  # fmt: skip
        return True

    def change(
        self,
        batch: Batch,
        delivery: Delivery,
        kind: str,
        state: State,
        now: int,
        *,
        action: str = "",
        **values: Any,
    ) -> None:
        """`kind`: of the event, none if empty; `action`: what a person is alerted to do."""
        assert delivery.token is not None  # it was just claimed
        change = columns(delivery, state, now, **values)
        batch.changes.append(Change(delivery, delivery.token, change))
        if kind:
            data = {"cause": change["cause"]} | ({"action": action} if action else {})
            batch.events.append(event(kind, delivery, now, f"worker:{self.worker}", data))
