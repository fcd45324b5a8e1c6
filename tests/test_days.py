"""When the day's digest leaves, and which week it counts to."""

from hypothesis import given
from hypothesis import strategies as st

from scheduler.digest import slot_after, week_of


@given(
    st.integers(0, 10**15), st.integers(0, 23), st.integers(1, 86_400).map(lambda s: s * 1_000_000)
)
def test_a_practice_day_has_its_hours_and_a_week_seven_of_them(
    at: int, hour: int, day: int
) -> None:
    slot = slot_after(at, "UTC", hour, day)
    assert at <= slot < at + day
    assert (slot - hour * day // 24) % day == 0
    begin, end = week_of(at, "UTC", day)
    assert begin <= at < end
    assert end - begin == 7 * day
