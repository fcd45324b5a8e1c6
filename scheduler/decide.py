"""Outcome + history -> decision: pure, and complete (the type checker proves it)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from random import Random
from typing import assert_never

from channels.outcome import (
    Accepted,
    AccessLost,
    Delivered,
    Gone,
    Outcome,
    Problem,
    Rejected,
    Throttled,
    Unavailable,
    Unconfirmed,
)
from scheduler.clock import micros
from scheduler.deliveries import Delivery, HoldReason
from scheduler.retry import RetryPolicy, next_try

SECOND = 1_000_000
FIRST_LOOK = 2 * SECOND
ACCEPTED_LOOK = 10 * SECOND
THROTTLE_DEFAULT = 60 * SECOND
# A moment to come back that is over already (zero seconds, or by a clock that differs from ours)
# would have us ask again and again; one in thirty years is nobody's meaning.
PASSED_THROTTLE = 5 * SECOND
LONGEST_THROTTLE = 31 * 24 * 3600 * SECOND


@dataclass(frozen=True, slots=True)
class Done:
    """Delivered: final."""

    remote_id: str
    url: str | None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Wait:
    """Accepted by the platform; look again at `look_at` unless a receipt comes first."""

    remote_id: str
    url: str | None
    look_at: int


@dataclass(frozen=True, slots=True)
class Again:
    """Back to scheduled, due at `at`; `charged` against the retry budget or not."""

    at: int
    charged: bool
    cause: str


@dataclass(frozen=True, slots=True)
class Look:
    """May have been written: look for it at `at` before anything else."""

    at: int
    cause: str
    presumed_sent: bool = False


@dataclass(frozen=True, slots=True)
class Hold:
    """Wait for a person; at `look_at` (None: never) the delivery moves by itself."""

    reason: HoldReason
    cause: str
    look_at: int | None


@dataclass(frozen=True, slots=True)
class Move:
    """Cannot go out here: reroute, else fail. `problem`: what the content fails on, so that the
    other road is one where it does not apply."""

    cause: str
    problem: Problem | None = None


Decision = Done | Wait | Again | Look | Hold | Move


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What decisions depend on beside the delivery itself."""

    retry: RetryPolicy


def decide(  # noqa: C901, PLR0911 -- one branch and one return an outcome
    outcome: Outcome, delivery: Delivery, now: int, rules: Rules, rng: Random
) -> Decision:
    """What to do about `outcome` of the delivery's current attempt, which is not yet counted in
    `delivery.tries`."""
    match outcome:
        case Delivered():
            return Done(outcome.remote_id, outcome.url, outcome.note)
        case Accepted():
            return Wait(outcome.remote_id, outcome.url, now + ACCEPTED_LOOK)
        case Throttled(ours=True):
            # Whoever arms it next sees the pause, and what that means for it.
            return Again(now, charged=False, cause=outcome.reason)
        case Throttled():
            until = calm_at(outcome.until, now)
            return _again(until, delivery, f"throttled: {outcome.reason}", charged=False)
        case Unavailable():
            hint = None if outcome.until is None else calm_at(outcome.until, now)
            at = next_try(delivery.tries + 1, now, rules.retry, rng, hint=hint)
            if at is None:
                return Move(f"gave up after {delivery.tries + 1} attempts: {outcome.reason}")
            return _again(at, delivery, outcome.reason, charged=True)
        case Rejected():
            return Move(outcome.problem.detail, outcome.problem)
        case AccessLost():
            cause = f"{outcome.detail} {outcome.remedy}".strip()
            return Hold(HoldReason.ACCESS_LOST, cause, delivery.deadline_at)
        case Gone():
            # A page that is gone for sends and there for probes must not be tried for ever.
            if delivery.tries + 1 >= rules.retry.max_tries:
                return Move(f"refused as gone {delivery.tries + 1} times: {outcome.detail}")
            return Hold(HoldReason.SUSPECTED, outcome.detail, delivery.deadline_at)
        case Unconfirmed():
            return Look(now + FIRST_LOOK, outcome.detail, outcome.presumed_sent)
        case _:
            assert_never(outcome)


def calm_at(until: datetime | None, now: int) -> int:
    """When to come back, as the platform says it, within reason (microseconds)."""
    if until is None:
        return now + THROTTLE_DEFAULT
    at = micros(until)
    return min(at, now + LONGEST_THROTTLE) if at > now else now + PASSED_THROTTLE


def _again(at: int, delivery: Delivery, cause: str, *, charged: bool) -> Decision:
    if delivery.deadline_at is not None and at > delivery.deadline_at:
        return Move(f"would miss its deadline: {cause}")
    return Again(at, charged, cause)
