"""What one probe means for an account, given what was known of it. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum

from channels.outcome import Health, HealthStatus
from scheduler.visit import Sight, Visits


class Verdict(Enum):
    """What a probe changes."""

    NOTHING = "nothing"
    SUSPECT = "suspect"
    WAIT = "wait"
    VANISHED = "vanished"
    LOST = "lost"
    PASSING = "passing"
    STILL_DOWN = "still-down"
    DEGRADED = "degraded"
    BACK = "back"


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What the account's row says. Times are microseconds since 1970."""

    status: str
    reason: str = ""
    since: int = 0
    suspected_at: int | None = None


def weigh(  # noqa: PLR0911 -- one return a finding
    health: Health, known: Known, *, now: int, confirm_after_us: int
) -> Verdict:
    """One probe's answer against what was known of the account."""
    match health.status:
        case HealthStatus.VANISHED if known.status == HealthStatus.VANISHED:
            return Verdict.NOTHING
        case HealthStatus.VANISHED if known.suspected_at is None:
            return Verdict.SUSPECT
        case HealthStatus.VANISHED:
            assert known.suspected_at is not None  # the case before
            confirmed = now - known.suspected_at >= confirm_after_us
            return Verdict.VANISHED if confirmed else Verdict.WAIT
        case HealthStatus.ACCESS_LOST:
            reason = "" if health.reason is None else health.reason.value
            same = (known.status, known.reason) == (HealthStatus.ACCESS_LOST, reason)
            return Verdict.NOTHING if same else Verdict.LOST
        case HealthStatus.PLATFORM_DOWN | HealthStatus.THROTTLED:
            return _passing(health, known, now, confirm_after_us)
        case HealthStatus.HEALTHY | HealthStatus.DEGRADED:
            if health.status == known.status and known.suspected_at is None:
                return Verdict.NOTHING
            degraded = health.status is HealthStatus.DEGRADED
            return Verdict.DEGRADED if degraded else Verdict.BACK


def _passing(health: Health, known: Known, now: int, confirm_after_us: int) -> Verdict:
    """Says nothing about the page: a doubt about it stays a doubt, and what was known holds."""
    if known.suspected_at is not None:
        return Verdict.WAIT
    if known.status in {HealthStatus.VANISHED, HealthStatus.ACCESS_LOST}:
        return Verdict.NOTHING
    down = health.status == known.status == HealthStatus.PLATFORM_DOWN
    if down and now - known.since >= confirm_after_us:
        return Verdict.STILL_DOWN
    return Verdict.PASSING


def as_seen(health: Health, visits: Visits | None, *, hidden_is_gone: bool) -> Health:
    """The API's word, corrected by what visitors see. `hidden_is_gone`: a page that no visitor
    sees counts as vanished, whatever the API says (still to be confirmed by a second look)."""
    if visits is None or health.status not in {HealthStatus.HEALTHY, HealthStatus.DEGRADED}:
        return health
    match visits.desktop.sight, visits.phone.sight:
        case Sight.HIDDEN, Sight.HIDDEN:
            return replace(
                health,
                status=HealthStatus.VANISHED if hidden_is_gone else HealthStatus.DEGRADED,
                detail="the API knows the page, and no visitor sees it",
                remedy="Look at the page without being logged in, and at its audience settings.",
            )
        case Sight.HIDDEN, Sight.SEEN:
            return _partly(health, "phones", "computers")
        case Sight.SEEN, Sight.HIDDEN:
            return _partly(health, "computers", "phones")
        case _:
            return health


def _partly(health: Health, seen: str, hidden: str) -> Health:
    return replace(
        health,
        status=HealthStatus.DEGRADED,
        detail=f"visitors see the page on {seen} and not on {hidden}",
        remedy=f"Look at the page on {hidden} without being logged in, and tell the platform.",
    )
