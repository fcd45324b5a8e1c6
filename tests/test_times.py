"""What people write for a moment, and the instant they mean."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.refusals import RefusedError
from scheduler.times import resolve, zone_named

PARIS = "Europe/Paris"


@pytest.mark.parametrize(
    ("text", "fold", "instant"),
    [
        ("2030-01-07T09:00", None, "2030-01-07T08:00:00+00:00"),
        ("2030-07-07T09:00", None, "2030-07-07T07:00:00+00:00"),
        ("2030-07-07 09:00:30", None, "2030-07-07T07:00:30+00:00"),
        ("2030-07-07T09:00Z", None, "2030-07-07T09:00:00+00:00"),
        ("2030-07-07T09:00-05:00", None, "2030-07-07T14:00:00+00:00"),
        ("2030-10-27T02:30", 0, "2030-10-27T00:30:00+00:00"),
        ("2030-10-27T02:30", 1, "2030-10-27T01:30:00+00:00"),
        ("2030-10-27T02:30+01:00", None, "2030-10-27T01:30:00+00:00"),
        ("2030-10-27T03:00", None, "2030-10-27T02:00:00+00:00"),
    ],
)
def test_a_moment_is_understood(text: str, fold: int | None, instant: str) -> None:
    assert resolve(text, PARIS, fold).isoformat() == instant


@pytest.mark.parametrize(
    ("text", "fold", "remedy"),
    [
        ("2030-03-31T02:30", None, "03:30"),
        ("2030-03-31T02:30", 1, "03:30"),
        ("2030-10-27T02:30", None, "fold"),
        ("2030-02-30T09:00", None, "2026-12-01T09:00"),
        ("2030-01-07", None, "2026-12-01T09:00"),
        ("9999-12-31T23:59-12:00", None, "2026-12-01T09:00"),
        ("soon", None, "2026-12-01T09:00"),
    ],
)
def test_a_moment_that_is_none_is_refused_with_what_to_write(
    text: str, fold: int | None, remedy: str
) -> None:
    with pytest.raises(RefusedError) as refused:
        resolve(text, PARIS, fold, "deadline")
    (error,) = refused.value.errors
    assert error.field == "deadline"
    assert remedy in error.remedy


@pytest.mark.parametrize(
    "name", ["Europe/Atlantis", "../etc/passwd", "", "/etc/localtime", "a\x00b"]
)
def test_an_unknown_zone_is_refused(name: str) -> None:
    with pytest.raises(RefusedError, match="no time zone"):
        zone_named(name)


@given(st.datetimes(datetime(2000, 1, 1), datetime(2090, 1, 1)))
def test_every_instant_is_meant_by_the_local_time_that_shows_it(naive: datetime) -> None:
    instant = naive.replace(tzinfo=UTC)
    local = instant.astimezone(zone_named(PARIS))
    written = local.replace(tzinfo=None).isoformat()
    assert resolve(written, PARIS, local.fold) == instant
