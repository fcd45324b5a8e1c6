"""Where posts stand around an anchor: local times that hold across clock changes."""

from datetime import UTC, date, datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from scheduler.placement import Anchor, Placement, due_at, local_of, on_the_wall, read_anchor
from scheduler.refusals import RefusedError

PARIS = "Europe/Paris"
NOW = datetime(2026, 1, 1, tzinfo=UTC)
ZONES = st.sampled_from(
    [PARIS, "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "America/Sao_Paulo", "UTC"]
)
LOCALS = st.datetimes(datetime(2020, 1, 1), datetime(2035, 1, 1)).map(
    lambda moment: moment.replace(second=0, microsecond=0)
)
PLACED = st.builds(
    Placement, days=st.integers(-400, 400), at=st.times().map(lambda t: f"{t:%H:%M}")
)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("placement", "expected"),
    [
        # The clocks of Paris go forward on 29 March 2026: +01:00 before, +02:00 after.
        ({"days": -14, "at": "10:00"}, "2026-03-18T09:00"),
        ({"days": -3, "at": "10:00"}, "2026-03-29T08:00"),
        ({"days": -1, "at": "18:00"}, "2026-03-31T16:00"),
        ({}, "2026-04-01T07:00"),
        ({"minutes": -60}, "2026-04-01T06:00"),
        ({"days": 3}, "2026-04-04T07:00"),
    ],
)
def test_offsets_keep_the_local_time_over_the_change_of_march(
    placement: dict[str, object], expected: str
) -> None:
    anchor = Anchor(datetime(2026, 4, 1, 9), PARIS)
    assert due_at(anchor, Placement.model_validate(placement)) == utc(expected)


def test_offsets_keep_the_local_time_over_the_change_of_october() -> None:
    anchor = Anchor(datetime(2026, 10, 26, 9), PARIS)
    days = [due_at(anchor, Placement(days=-days, at="10:00")) for days in (2, 1, 0)]
    assert days == [utc("2026-10-24T08:00"), utc("2026-10-25T09:00"), utc("2026-10-26T09:00")]


def test_minutes_are_counted_by_the_stopwatch_and_days_by_the_calendar() -> None:
    anchor = Anchor(datetime(2026, 3, 29, 4), PARIS)
    assert due_at(anchor, Placement(minutes=-1440)) == utc("2026-03-28T02:00")
    assert due_at(anchor, Placement(days=-1)) == utc("2026-03-28T03:00")


def test_a_skipped_time_moves_behind_the_gap_and_a_repeated_one_is_the_first() -> None:
    spring = Anchor(datetime(2026, 3, 29, 12), PARIS)
    autumn = Anchor(datetime(2026, 10, 25, 12), PARIS)
    skipped = due_at(spring, Placement(at="02:30"))
    assert local_of(skipped, PARIS) == datetime(2026, 3, 29, 3, 30)
    assert due_at(autumn, Placement(at="02:30")) == utc("2026-10-25T00:30")


@given(LOCALS, ZONES, PLACED)
def test_the_wall_shows_the_wanted_time_unless_no_clock_ever_did(
    local: datetime, zone: str, placement: Placement
) -> None:
    due = due_at(Anchor(local, zone), placement)
    shown = local_of(due, zone)
    assert placement.at is not None
    day: date = local.date() + timedelta(days=placement.days)
    wanted = datetime.combine(day, time.fromisoformat(placement.at))
    if shown != wanted:
        # A gap: the hour that the clocks skip holds the wanted time.
        before = local_of(due - timedelta(hours=2), zone)
        assert before < wanted < shown
        assert shown - before > timedelta(hours=2)


@given(LOCALS, ZONES, PLACED, st.integers(-300, 300))
def test_moving_the_anchor_by_days_moves_the_local_times_by_as_many(
    local: datetime, zone: str, placement: Placement, days: int
) -> None:
    moved = due_at(Anchor(local + timedelta(days=days), zone), placement)
    further = placement.model_copy(update={"days": placement.days + days})
    assert moved == due_at(Anchor(local, zone), further)


@given(LOCALS, ZONES)
def test_a_moment_read_from_the_wall_is_the_moment(local: datetime, zone: str) -> None:
    there = on_the_wall(local, zone)
    assert on_the_wall(local_of(there, zone), zone) <= there


@pytest.mark.parametrize(
    ("anchor", "zone", "field", "word"),
    [
        ("next week", PARIS, "anchor", "no date"),
        ("2026-05-02", PARIS, "anchor", "no time of day"),
        ("2026-05-02T09:00+02:00", PARIS, "anchor", "offset"),
        ("2026-03-29T02:30", PARIS, "anchor", "does not exist"),
        ("2226-05-02T09:00", PARIS, "anchor", "ten years"),
        ("2026-05-02T09:00", "Europe/Pariss", "zone", "time zone"),
    ],
)
def test_an_anchor_that_is_none_is_refused_by_name(
    anchor: str, zone: str, field: str, word: str
) -> None:
    with pytest.raises(RefusedError, match=word) as refused:
        read_anchor(anchor, zone, NOW)
    assert refused.value.errors[0].field == field
    assert refused.value.errors[0].remedy


def test_a_repeated_anchor_is_the_first_time() -> None:
    anchor = read_anchor("2026-10-25T02:30", PARIS, NOW)
    assert anchor.instant == utc("2026-10-25T00:30")


def test_a_post_is_placed_by_days_or_by_minutes() -> None:
    with pytest.raises(ValidationError, match="placed twice"):
        Placement(days=1, minutes=5)
