"""An attempt as what it writes: the delivery's new columns, its attempt, its event. Pure.

`plain` is the least of it, in letters and numbers that nothing can object to, for a database that
refuses the rest.
"""

from __future__ import annotations

from scheduler.attempt import Attempted, detail_of
from scheduler.changes import Change, columns, decided, event, outcome_name
from scheduler.decide import Again, Done, Hold, Look, Wait
from scheduler.deliveries import HoldReason, State
from scheduler.store.events import Event
from scheduler.store.outcomes import Ended

_EVENT_KINDS = {
    Done: "delivery.delivered",
    Wait: "delivery.accepted",
    Again: "delivery.retried",
    Look: "delivery.unconfirmed",
    Hold: "delivery.held",
}
DOUBT = "it was published or may have been, and the answer that says so could not be stored"
UNSENT = "it was not published, and what was to become of it could not be stored"
_LONGEST = 200


def ended(attempted: Attempted, worker: str, now: int) -> Ended:
    """Everything that the attempt writes."""
    armed = attempted.armed
    new = decided(armed.delivery, attempted.decision, attempted.started_at, now)
    return Ended(
        None if new is None else Change(armed.delivery, armed.token, new),
        attempted.row(worker),
        _line(attempted, worker, now),
    )


def plain(attempted: Attempted, worker: str, now: int) -> Ended:
    """The least: a person decides what becomes of the delivery, unless another road is looked for
    (`change` is None then, too)."""
    armed = attempted.armed
    full = ended(attempted, worker, now)
    sent = may_be_out(attempted)
    cause = DOUBT if sent else UNSENT
    held = columns(
        armed.delivery, State.HELD, now, tries=armed.delivery.tries + 1,
        first_sent_at=(armed.delivery.first_sent_at or attempted.started_at) if sent else None,
        hold_reason=HoldReason.UNCONFIRMED if sent else HoldReason.APPROVAL, cause=cause,
    )  # fmt: skip
    detail = f"{cause}: {detail_of(attempted.outcome)}".encode("ascii", "replace").decode()
    data = {"outcome": outcome_name(attempted.outcome), "cause": cause}
    return Ended(
        None if full.change is None else Change(armed.delivery, armed.token, held),
        {**full.attempt, "detail": detail[:_LONGEST], "evidence": {}},
        {**full.event, "data": data},
    )


def may_be_out(attempted: Attempted) -> bool:
    """Whether what was to be published is, or may be."""
    return isinstance(attempted.decision, Done | Wait | Look)


def _line(attempted: Attempted, worker: str, now: int) -> Event:
    kind = _EVENT_KINDS.get(type(attempted.decision), "delivery.refused")
    data: dict[str, object] = {"outcome": outcome_name(attempted.outcome)}
    if isinstance(attempted.decision, Done | Wait):
        data |= {"url": attempted.decision.url, "late_us": attempted.late_us}
    else:
        data["detail"] = detail_of(attempted.outcome)
    if isinstance(attempted.decision, Again):
        data["again_at"] = attempted.decision.at
    return event(kind, attempted.armed.delivery, now, f"worker:{worker}", data)
