"""When a draft is due, and until when it may be late. Pure."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from scheduler.clock import micros, moment
from scheduler.deliveries import LatePolicy
from scheduler.drafts import Draft
from scheduler.refusals import invalid
from scheduler.settings import Settings
from scheduler.times import horizon, resolve, zone_named

# How far a client's clock may be behind ours before "now" counts as the past.
SLACK = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class When:
    """Microseconds since 1970, and the zone in which the author thinks."""

    due_at: int
    deadline_at: int
    zone: str


def takes_lateness(sent: Collection[str], policy: LatePolicy) -> bool:
    """Whether the author, by the fields sent, accepts a moment that has passed."""
    return "late_policy" in sent and policy is LatePolicy.PUBLISH


def decide_when(draft: Draft, now: int, settings: Settings, *, late_ok: bool) -> When:
    """The moment a draft means. Error: RefusedError naming the field.

    A past moment is refused, unless `late_ok`: the author said `late_policy: publish`.
    """
    zone = draft.zone or settings.zone
    zone_named(zone)
    today = moment(now)
    at = today if draft.at == "now" else resolve(draft.at, zone, draft.fold)
    if at < today - SLACK and not late_ok:
        raise invalid(
            "at",
            f"{at.isoformat()} is in the past",
            "give a later time, leave `at` out to publish now, or add late_policy: publish",
        )
    if at > horizon(today):
        raise invalid("at", f"{at.isoformat()} is more than ten years away", "check the year")
    due = max(at, today)
    deadline = deadline_of(draft, due, zone)
    if deadline is None:
        deadline = due + timedelta(hours=settings.default_deadline_hours)
    return When(micros(due), micros(deadline), zone)


def deadline_of(draft: Draft, due: datetime, zone: str) -> datetime | None:
    """The deadline that a draft sets, None when it sets none. Error: RefusedError."""
    if draft.deadline is None:
        return None
    deadline = resolve(draft.deadline, zone, draft.fold, "deadline")
    if deadline <= due:
        raise invalid("deadline", "the deadline is not after the post's time", "give a later one")
    return deadline
