"""What a look means, at each age of the doubt."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from channels.outcome import Finding
from scheduler.deliveries import Delivery, State
from scheduler.doubt import LookPolicy, Verdict, conclude, sent_between

SECOND = 1_000_000
POLICY = LookPolicy(in_flight_us=20 * SECOND, patience_us=60 * SECOND)


def verdict(finding: Finding, age: int, *, settles: int = 0, idempotent: bool = False) -> Verdict:
    return conclude(
        finding, sent_at=0, now=age, idempotent=idempotent, settles_us=settles, policy=POLICY
    )  # fmt: skip


@given(age=st.integers(0, 10**12), settles=st.integers(0, 10**10))
def test_not_knowing_is_never_a_proof(age: int, settles: int) -> None:
    assert verdict(Finding.UNKNOWN, age, settles=settles) in {Verdict.AGAIN, Verdict.HOLD}


def test_absent_is_believed_once_the_listing_has_settled() -> None:
    assert verdict(Finding.ABSENT, 29 * SECOND, settles=10 * SECOND) is Verdict.AGAIN
    assert verdict(Finding.ABSENT, 30 * SECOND, settles=10 * SECOND) is Verdict.ABSENT


def test_what_a_slow_platform_is_still_writing_is_not_absent() -> None:
    """Found by killing a worker while a request waited at a slow platform: the look came first,
    the first request was written after it, and then the second."""
    assert verdict(Finding.ABSENT, 19 * SECOND) is Verdict.AGAIN


def test_what_nobody_can_tell_becomes_a_persons_question() -> None:
    assert verdict(Finding.UNKNOWN, POLICY.give_up_us - 1) is Verdict.AGAIN
    assert verdict(Finding.UNKNOWN, POLICY.give_up_us) is Verdict.HOLD


def test_a_platform_that_forgives_a_second_send_gets_one() -> None:
    assert verdict(Finding.UNKNOWN, 0, idempotent=True) is Verdict.ABSENT


def test_a_doubt_is_as_old_as_its_oldest_end_and_as_young_as_its_youngest() -> None:
    """What was an hour late when its worker was killed left a moment ago, perhaps: a key that the
    platform honours for a while may be spent, and the listing need not show it yet."""
    killed = Delivery(
        id="d", post_id="p", account_id="a", state=State.UNCONFIRMED, due_at=3600 * SECOND,
        planned_at=0, first_sent_at=5 * SECOND,
    )  # fmt: skip
    assert sent_between(killed) == (5 * SECOND, 3600 * SECOND)
    answered = replace(killed, first_sent_at=3601 * SECOND)
    assert sent_between(answered) == (3601 * SECOND, 3601 * SECOND)
