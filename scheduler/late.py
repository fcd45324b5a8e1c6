"""Late is a choice: what to do with a delivery that comes up after its time. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from scheduler.deliveries import Delivery, LatePolicy


class Lateness(Enum):
    """What a late delivery gets."""

    SEND = "send"
    SPREAD = "spread"
    ASK = "ask"
    DROP = "drop"
    TOO_LATE = "too-late"


@dataclass(frozen=True, slots=True, kw_only=True)
class LateRules:
    """`late_after_us`: from when a post counts as overdue, not merely slow."""

    late_after_us: int
    default_deadline_us: int


def judge(
    delivery: Delivery, policy: LatePolicy, now: int, rules: LateRules, *, begun: bool = False
) -> Lateness:
    """Compare with the planned time, which retries and pauses do not move. `begun`: a mailing that
    was cut off, which is late only past its deadline, as some of its readers have it."""
    deadline = delivery.deadline_at or delivery.planned_at + rules.default_deadline_us
    late = now - delivery.planned_at
    if now <= deadline and (begun or late <= rules.late_after_us):
        return Lateness.SEND
    if policy is LatePolicy.DROP:
        return Lateness.DROP
    if now > deadline:  # however little late it is
        return Lateness.TOO_LATE
    if policy is LatePolicy.ASK:
        return Lateness.ASK
    return Lateness.SPREAD
