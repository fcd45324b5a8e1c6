"""Rules on the wall clock: no drift over clock changes, ends and exceptions kept."""

from __future__ import annotations

from datetime import datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.placement import local_of, on_the_wall
from scheduler.recurrence import Rule, read_rule
from scheduler.refusals import RefusedError

PARIS = "Europe/Paris"
START = datetime(2026, 10, 6, 9)  # a Tuesday
FAR = datetime(2036, 1, 1)
RULES = st.sampled_from(
    [
        "FREQ=DAILY",
        "FREQ=DAILY;INTERVAL=3;COUNT=40",
        "FREQ=WEEKLY;BYDAY=TU,FR",
        "FREQ=WEEKLY;INTERVAL=2;BYDAY=MO;WKST=SU",
        "FREQ=MONTHLY;BYDAY=1SA;UNTIL=20281231",
        "FREQ=MONTHLY;BYMONTHDAY=-1",
        "FREQ=YEARLY;BYMONTH=3;BYDAY=-1SU",
    ]
)


def rule(text: str, start: datetime = START) -> Rule:
    return read_rule(text, start, PARIS)


def test_every_tuesday_at_nine_stays_at_nine_when_the_clocks_change() -> None:
    found = rule("FREQ=WEEKLY;BYDAY=TU").between(START, START + timedelta(days=35))
    offsets = [on_the_wall(local, PARIS).hour for local in found]
    assert [local.time() for local in found] == [time(9)] * 5
    assert offsets == [7, 7, 8, 8, 8]  # UTC: summer time ends on 25 October


@given(RULES, st.integers(0, 23), st.integers(0, 59))
def test_no_occurrence_drifts(text: str, hour: int, minute: int) -> None:
    start = START.replace(hour=hour, minute=minute)
    for local in rule(text, start).between(start - timedelta(1), start + timedelta(days=800)):
        assert local.time() == start.time()
        shown = local_of(on_the_wall(local, PARIS), PARIS)
        gap = local.month == 3 and local.hour == 2  # the hour that the clocks skip
        assert shown == local or gap


@given(RULES, st.lists(st.integers(0, 900), min_size=1, max_size=6))
def test_planning_in_steps_finds_the_same_as_planning_at_once(text: str, days: list[int]) -> None:
    read = rule(text)
    ends = [START + timedelta(days=day, hours=3) for day in sorted(days)]
    steps: list[datetime] = []
    done = START - timedelta(seconds=1)
    for end in ends:
        steps += read.between(done, end)
        done = steps[-1] if steps else done
    assert steps == read.between(START - timedelta(seconds=1), ends[-1])
    assert len(set(steps)) == len(steps)


@pytest.mark.parametrize(
    ("text", "number", "last"),
    [
        ("FREQ=DAILY;COUNT=3", 3, "2026-10-08"),
        ("FREQ=DAILY;UNTIL=20261008", 3, "2026-10-08"),
        ("FREQ=DAILY;UNTIL=20261008T085959", 2, "2026-10-07"),
        ("FREQ=DAILY;UNTIL=20261008T070000Z", 3, "2026-10-08"),
        ("FREQ=DAILY;UNTIL=20261008T065959Z", 2, "2026-10-07"),
        ("RRULE:FREQ=WEEKLY;BYDAY=SA;COUNT=2;", 2, "2026-10-17"),
        ("freq=monthly;bymonthday=31;count=2", 2, "2026-12-31"),
    ],
)
def test_a_rule_ends_where_it_says(text: str, number: int, last: str) -> None:
    found = rule(text).between(START - timedelta(1), FAR)
    assert len(found) == number
    assert found[-1].date().isoformat() == last


def test_exceptions_take_out_a_day_or_a_time_and_do_not_prolong_a_count() -> None:
    read = rule("FREQ=DAILY;COUNT=5")
    kept = read.between(START - timedelta(1), FAR, {"2026-10-07", "2026-10-08T09:00"})
    assert [local.day for local in kept] == [6, 9, 10]
    assert len(read.between(START - timedelta(1), FAR, {"2026-10-07T10:00"})) == 5


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "no part"),
        ("every tuesday", "no part"),
        ("BYDAY=TU", "FREQ"),
        ("FREQ=HOURLY", "FREQ"),
        ("FREQ=SECONDLY", "FREQ"),
        ("FREQ=DAILY;INTERVAL=0", "INTERVAL=0"),
        ("FREQ=DAILY;INTERVAL=-1", "INTERVAL=-1"),
        ("FREQ=DAILY;COUNT=0", "COUNT=0"),
        ("FREQ=DAILY;COUNT=3;UNTIL=20261231", "both end"),
        ("FREQ=DAILY;UNTIL=tomorrow", "UNTIL"),
        ("FREQ=DAILY;UNTIL=20261350", "UNTIL"),
        ("FREQ=DAILY;UNTIL=20200101", "never"),
        ("FREQ=DAILY;BYHOUR=9", "BYHOUR"),
        ("FREQ=DAILY;FREQ=WEEKLY", "twice"),
        ("FREQ=WEEKLY;BYDAY=XX", "no rule"),
        ("FREQ=MONTHLY;BYMONTHDAY=99", "never"),
        ("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30", "never"),
        ("FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30", "never"),
    ],
)
def test_what_is_no_rule_is_refused_with_the_reason(text: str, word: str) -> None:
    with pytest.raises(RefusedError, match=word) as refused:
        rule(text)
    assert refused.value.errors[0].field == "rule"
    assert refused.value.errors[0].remedy
