"""What one probe means for an account, given what was known of it. Pure."""

from __future__ import annotations

from enum import Enum

from channels.outcome import Health, HealthStatus


class Verdict(Enum):
    """What a probe changes."""

    NOTHING = "nothing"
    SUSPECT = "suspect"
    WAIT = "wait"
    VANISHED = "vanished"
    LOST = "lost"
    PASSING = "passing"
    BACK = "back"


def weigh(  # noqa: PLR0911 -- one return a finding
    health: Health, *, status: str, suspected_at: int | None, now: int, confirm_after_us: int
) -> Verdict:
    """Pure: one probe's answer against what was known of the account."""
    match health.status:
        case HealthStatus.VANISHED if status == HealthStatus.VANISHED:
            return Verdict.NOTHING
        case HealthStatus.VANISHED if suspected_at is None:
            return Verdict.SUSPECT
        case HealthStatus.VANISHED:
            assert suspected_at is not None  # the case before
            return Verdict.VANISHED if now - suspected_at >= confirm_after_us else Verdict.WAIT
        case HealthStatus.ACCESS_LOST:
            return Verdict.NOTHING if status == HealthStatus.ACCESS_LOST else Verdict.LOST
        case HealthStatus.PLATFORM_DOWN | HealthStatus.THROTTLED:
            # Says nothing about the page: a doubt about it stays a doubt.
            return Verdict.WAIT if suspected_at is not None else Verdict.PASSING
        case HealthStatus.HEALTHY | HealthStatus.DEGRADED:
            if health.status == status and suspected_at is None:
                return Verdict.NOTHING
            return Verdict.BACK
