"""A decision as what it writes: the delivery's columns, its attempt, its event. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypedDict, assert_never

from channels.outcome import Evidence, Outcome
from scheduler.decide import Again, Decision, Done, Hold, Look, Move, Wait
from scheduler.deliveries import FINAL, Delivery, HoldReason, State
from scheduler.store.events import Event


class Columns(TypedDict):
    """What completing writes to a delivery's row; token, worker and lease are cleared with it."""

    state: str
    due_at: int
    planned_at: int
    tries: int
    first_sent_at: int | None
    look_at: int | None
    looks: int
    hold_reason: str | None
    cause: str
    remote_id: str | None
    url: str | None
    finished_at: int | None


@dataclass(frozen=True, slots=True)
class Change:
    """New columns for one delivery, valid only while `token` is its token (None: nobody's)."""

    delivery: Delivery
    token: str | None
    columns: Columns


def columns(
    delivery: Delivery,
    state: State,
    now: int,
    *,
    due_at: int | None = None,
    tries: int | None = None,
    first_sent_at: int | None = None,
    look_at: int | None = None,
    hold_reason: HoldReason | None = None,
    cause: str = "",
    remote_id: str | None = None,
    url: str | None = None,
) -> Columns:
    """The row as it is, with what this change says."""
    return {
        "state": state.value,
        "due_at": delivery.due_at if due_at is None else due_at,
        "planned_at": delivery.planned_at,
        "tries": delivery.tries if tries is None else tries,
        "first_sent_at": delivery.first_sent_at if first_sent_at is None else first_sent_at,
        "look_at": look_at,
        "looks": delivery.looks,
        "hold_reason": None if hold_reason is None else hold_reason.value,
        "cause": cause[:2000],
        "remote_id": delivery.remote_id if remote_id is None else remote_id,
        "url": delivery.url if url is None else url,
        "finished_at": now if state in FINAL else None,
    }


def decided(delivery: Delivery, decision: Decision, started_at: int, now: int) -> Columns | None:
    """The columns of a decision; None for `Move`, which needs to look for another road."""
    tries = delivery.tries + 1
    sent = delivery.first_sent_at or started_at
    match decision:
        case Done():
            return columns(
                delivery,
                State.DELIVERED,
                now,
                tries=tries,
                first_sent_at=sent,
                cause=decision.note,
                remote_id=decision.remote_id,
                url=decision.url,
            )
        case Wait():
            return columns(
                delivery,
                State.ACCEPTED,
                now,
                tries=tries,
                first_sent_at=sent,
                look_at=decision.look_at,
                remote_id=decision.remote_id,
                url=decision.url,
            )
        case Again():
            return columns(
                delivery,
                State.SCHEDULED,
                now,
                due_at=decision.at,
                tries=tries if decision.charged else None,
                cause=decision.cause,
            )
        case Look():
            return columns(
                delivery,
                State.UNCONFIRMED,
                now,
                tries=tries,
                first_sent_at=sent,
                look_at=decision.at,
                cause=decision.cause,
            )
        case Hold():
            return columns(
                delivery,
                State.HELD,
                now,
                tries=tries if decision.reason is HoldReason.SUSPECTED else None,
                look_at=decision.look_at,
                hold_reason=decision.reason,
                cause=decision.cause,
            )
        case Move():
            return None
        case _:
            assert_never(decision)


def event(
    kind: str, delivery: Delivery, at: int, actor: str, data: dict[str, Any] | None = None
) -> Event:
    """A line of the journal about one delivery."""
    return {
        "at": at,
        "kind": kind,
        "actor": actor,
        "post_id": delivery.post_id,
        "delivery_id": delivery.id,
        "account_id": delivery.account_id,
        "data": data or {},
    }


def outcome_name(outcome: Outcome) -> str:
    """`Delivered` -> `delivered`, `AccessLost` -> `access-lost`."""
    return _NAMES[type(outcome)]


_NAMES: dict[type, str] = {
    kind: "".join(f"-{letter.lower()}" if letter.isupper() else letter for letter in kind.__name__)[
        1:
    ]
    for kind in Outcome.__args__
}


def evidence_json(evidence: Evidence) -> dict[str, Any]:
    """Only what is there, so that a quiet success costs a few bytes."""
    return {
        name: value
        for name in Evidence.__slots__
        if (value := getattr(evidence, name)) not in {"", None}
    }
