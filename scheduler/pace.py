"""How fast a worker arms and fires."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """Durations in seconds, but for `lease_us`. `concurrency`: sends at once of one channel."""

    arm_ahead: float
    sweep_interval: float
    lease_us: int
    send_timeout: float
    concurrency: int
