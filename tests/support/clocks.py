"""A clock that a test sets, and that goes on from there."""

from __future__ import annotations

from datetime import datetime, timedelta

from scheduler.clock import Clock, micros


class SetClock(Clock):
    """The system's clock, put forward or back."""

    def __init__(self, at: datetime | None = None) -> None:
        """At `at` (aware), else right."""
        self.ahead_us = 0
        if at is not None:
            self.set(at)

    def set(self, at: datetime) -> None:
        """Show `at` (aware) now."""
        self.ahead_us = micros(at) - super().micros()

    def now(self) -> datetime:
        return super().now() + timedelta(microseconds=self.ahead_us)

    def micros(self) -> int:
        return super().micros() + self.ahead_us
