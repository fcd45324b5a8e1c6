"""What a look at the platform concludes about a delivery that may have been published: pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from channels.outcome import Finding
from scheduler.decide import SECOND
from scheduler.deliveries import Delivery


@dataclass(frozen=True, slots=True, kw_only=True)
class LookPolicy:
    """`in_flight_us`: for how long a platform may still be busy with a request that we gave up;
    `patience_us`: longest wait for its listing to settle after that; `gap_us`: first wait between
    two looks, which doubles; `give_up_us`: when not knowing becomes a person's question."""

    in_flight_us: int = 20 * SECOND
    patience_us: int = 60 * SECOND
    gap_us: int = 5 * SECOND
    give_up_us: int = 900 * SECOND


class Verdict(StrEnum):
    """What a look concluded."""

    FOUND = "found"
    ABSENT = "absent"
    AGAIN = "again"
    HOLD = "hold"
    RESUMED = "resumed"


def conclude(
    finding: Finding,
    *,
    sent_at: int,
    now: int,
    idempotent: bool,
    settles_us: int,
    policy: LookPolicy,
) -> Verdict:
    """Pure: what an inconclusive or negative look means at this age of the doubt. `settles_us`:
    for how long the platform's own listing may still miss a new post."""
    if idempotent:
        return Verdict.ABSENT  # sending again with the same key is safe by the platform's promise
    age = now - sent_at
    settled = policy.in_flight_us + min(settles_us, policy.patience_us)
    if finding is Finding.ABSENT and age >= settled:
        return Verdict.ABSENT
    if age >= policy.give_up_us:
        return Verdict.HOLD
    return Verdict.AGAIN


def sent_between(delivery: Delivery) -> tuple[int, int]:
    """Pure: when the send in doubt may have begun, at the earliest and at the latest."""
    earliest = delivery.first_sent_at or delivery.due_at
    return earliest, max(earliest, delivery.due_at)
