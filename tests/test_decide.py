"""Every outcome has one decision; the table is the documentation."""

from dataclasses import replace
from datetime import timedelta
from random import Random

import pytest

from channels.outcome import (
    Accepted,
    AccessLost,
    AccessReason,
    Delivered,
    Gone,
    Outcome,
    Problem,
    Rejected,
    Throttled,
    Unavailable,
    Unconfirmed,
)
from scheduler.clock import moment
from scheduler.decide import SECOND, Again, Done, Hold, Look, Move, Rules, Wait, decide
from scheduler.deliveries import Delivery, HoldReason
from scheduler.limits import BreakerPolicy, read_sign
from scheduler.retry import RetryPolicy

NOW = 1_800_000_000 * SECOND
RULES = Rules(retry=RetryPolicy(max_tries=3, base_us=5 * SECOND, cap_us=60 * SECOND))
DELIVERY = Delivery(
    id="d", post_id="p", account_id="a", due_at=NOW, planned_at=NOW, deadline_at=NOW + 3600 * SECOND
)
PROBLEM = Problem(code="text-too-long", detail="too long")


def verdict(outcome: Outcome, delivery: Delivery = DELIVERY) -> object:
    return decide(outcome, delivery, NOW, RULES, Random(1))


@pytest.mark.parametrize(
    ("outcome", "kind"),
    [
        (Delivered(remote_id="1"), Done),
        (Accepted(remote_id="1"), Wait),
        (Throttled(), Again),
        (Unavailable(reason="refused"), Again),
        (Rejected(problem=PROBLEM), Move),
        (AccessLost(reason=AccessReason.TOKEN, detail="expired"), Hold),
        (Gone(detail="no such page"), Hold),
        (Unconfirmed(detail="no answer"), Look),
    ],
)
def test_each_outcome_has_its_decision(outcome: Outcome, kind: type) -> None:
    assert type(verdict(outcome)) is kind


def test_a_throttle_waits_for_the_hint_and_costs_no_try() -> None:
    until = moment(NOW) + timedelta(minutes=5)
    assert verdict(Throttled(until=until, reason="usage")) == Again(
        NOW + 300 * SECOND, False, "throttled: usage"
    )


@pytest.mark.parametrize(
    ("until", "at"),
    [
        pytest.param(timedelta(0), 5 * SECOND, id="Retry-After: 0"),
        pytest.param(timedelta(minutes=-2), 5 * SECOND, id="its clock is behind ours"),
        pytest.param(timedelta(days=11_000), 31 * 86_400 * SECOND, id="in thirty years"),
    ],
)
def test_a_throttle_neither_hammers_nor_waits_for_ever(until: timedelta, at: int) -> None:
    told = Throttled(until=moment(NOW) + until, reason="usage")
    assert verdict(told, replace(DELIVERY, deadline_at=None)) == Again(
        NOW + at, False, "throttled: usage"
    )
    sign = read_sign(told, 0, "healthy", NOW, BreakerPolicy())
    assert sign is not None
    assert sign.paused_until == NOW + at


def test_a_retry_is_charged_and_never_before_the_platforms_own_hint() -> None:
    until = moment(NOW) + timedelta(minutes=5)
    again = verdict(Unavailable(reason="maintenance", until=until))
    assert isinstance(again, Again)
    assert again.charged
    assert again.at >= NOW + 300 * SECOND


def test_the_last_try_takes_another_road() -> None:
    spent = replace(DELIVERY, tries=2)
    assert isinstance(verdict(Unavailable(reason="refused"), spent), Move)
    assert isinstance(verdict(Gone(detail="no such page"), spent), Move)


def test_what_would_miss_its_deadline_takes_another_road_now() -> None:
    close = replace(DELIVERY, deadline_at=NOW + SECOND)
    until = moment(NOW) + timedelta(minutes=5)
    assert isinstance(verdict(Throttled(until=until), close), Move)
    assert isinstance(verdict(Unavailable(reason="down", until=until), close), Move)


def test_a_hold_for_lost_access_ends_at_the_deadline() -> None:
    held = verdict(AccessLost(reason=AccessReason.ROLE, detail="no role", remedy="ask an admin"))
    assert held == Hold(HoldReason.ACCESS_LOST, "no role ask an admin", DELIVERY.deadline_at)


def test_a_rejection_keeps_its_problem_so_that_the_other_road_can_avoid_it() -> None:
    assert verdict(Rejected(problem=PROBLEM)) == Move("too long", PROBLEM)
