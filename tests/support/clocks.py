"""A clock that a test sets, and that goes on from there."""

from __future__ import annotations

from datetime import datetime, timedelta

from scheduler.clock import Clock, micros, moment


class SetClock(Clock):
    """The system's clock, put forward or back."""

    def __init__(self, at: datetime | None = None) -> None:
        """At `at` (aware), else right."""
        self.ahead_us = 0
        self.stopped_us: int | None = None
        if at is not None:
            self.set(at)

    def set(self, at: datetime) -> None:
        """Show `at` (aware) now."""
        self.ahead_us = micros(at) - super().micros()
        if self.stopped_us is not None:
            self.stopped_us = micros(at)

    def stop(self) -> None:
        """Go on only when it is set, however slow the machine is."""
        self.stopped_us = self.micros()

    def now(self) -> datetime:
        if self.stopped_us is not None:
            return moment(self.stopped_us)
        return super().now() + timedelta(microseconds=self.ahead_us)

    def micros(self) -> int:
        if self.stopped_us is not None:
            return self.stopped_us
        return super().micros() + self.ahead_us
