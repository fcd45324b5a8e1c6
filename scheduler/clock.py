"""Time, in one place: aware UTC datetimes outside, integer microseconds in the hot path.

The wall clock may step. `Clock` therefore pairs it with the monotonic one: what is armed waits on
monotonic time and is compared again with the wall clock before it fires.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def micros(moment: datetime) -> int:
    """Microseconds since 1970 of an aware datetime. Error: ValueError for a naive one."""
    if moment.tzinfo is None:
        raise ValueError("a moment needs a time zone")
    return (moment - EPOCH) // _MICROSECOND


def moment(value: int) -> datetime:
    """The aware UTC datetime of microseconds since 1970."""
    return EPOCH + timedelta(microseconds=value)


class Clock:
    """The system's clocks. Tests move time by subclassing it, production never does."""

    def now(self) -> datetime:
        """Aware UTC."""
        return datetime.now(UTC)

    def micros(self) -> int:
        """Wall clock, microseconds since 1970."""
        return time.time_ns() // 1000

    def monotonic(self) -> float:
        """Seconds that never step back."""
        return time.monotonic()
