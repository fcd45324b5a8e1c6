"""What the API says of recurrences."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from typing_extensions import TypedDict

from scheduler.answers import stamp, stamp_or_none
from scheduler.clock import moment
from scheduler.placement import local_of, on_the_wall
from scheduler.recurrence import Rule, read_rule
from scheduler.times import in_words

SHOWN = 10

Row = Mapping[Any, Any]


class RecurrenceAnswer(TypedDict):
    """Something that comes round again. `next`: its next times, local with their offset;
    `planned_until`: local time up to which every occurrence is planned."""

    id: str
    name: str
    rule: str
    start: str
    zone: str
    exceptions: list[str]
    story: dict[str, Any]
    next: list[str]
    planned_until: str
    created_by: str
    created_at: str
    ended_at: str | None


def rule_of(row: Row) -> Rule:
    """The rule of a stored recurrence."""
    return read_rule(row["rule"], datetime.fromisoformat(row["start_local"]), row["zone"])


def recurrence_answer(row: Row, now: int) -> RecurrenceAnswer:
    """`row`: a full row of recurrences."""
    coming = [] if row["ended_at"] is not None else coming_times(row, rule_of(row), now)
    zone = row["zone"]
    return {
        "id": row["id"],
        "name": row["name"],
        "rule": row["rule"],
        "start": row["start_local"],
        "zone": zone,
        "exceptions": list(row["exceptions"]),
        "story": dict(row["story"]),
        "next": [in_words(on_the_wall(local, zone), zone) for local in coming],
        "planned_until": row["done_until"],
        "created_by": row["created_by"],
        "created_at": stamp(row["created_at"]),
        "ended_at": stamp_or_none(row["ended_at"]),
    }


def coming_times(row: Row, rule: Rule, now: int) -> list[datetime]:
    """Its next times, local."""
    here = local_of(moment(now), row["zone"])
    far = max(here, rule.start) + timedelta(days=3660)
    return rule.between(here, far, row["exceptions"])[:SHOWN]
