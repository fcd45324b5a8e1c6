"""What people write for a moment, and the instant they mean. Pure.

A moment is RFC 3339 (`2026-12-01T09:00:00+01:00`), or a local time (`2026-12-01T09:00`) with an
IANA zone. A clock change makes some local times happen twice and others never: both are errors
that say so, unless `fold` chooses (PEP 495: 0 the first, 1 the second).
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from scheduler.refusals import invalid

FORM = "write it as 2026-12-01T09:00:00+01:00, or as 2026-12-01T09:00 with a zone"


@lru_cache(maxsize=512)
def zone_named(name: str, field: str = "zone") -> ZoneInfo:
    """The IANA zone. Error: RefusedError naming `field`."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise invalid(
            field, f"no time zone is called {name!r}", "use an IANA name such as Europe/Paris"
        ) from error


def resolve(text: str, zone: str, fold: int | None = None, field: str = "at") -> datetime:
    """The aware UTC datetime that `text` means. Error: RefusedError naming the field."""
    try:
        written = datetime.fromisoformat(text.strip())
    except ValueError as error:
        raise invalid(field, f"{text!r} is no date and time", FORM) from error
    if len(text.strip()) <= len("2026-12-01"):
        raise invalid(field, f"{text!r} has no time of day", FORM)
    try:
        if written.tzinfo is not None:
            return written.astimezone(UTC)
        return _from_local(written, zone_named(zone), fold, field)
    except OverflowError as error:
        raise invalid(field, f"{text!r} is outside the calendar", FORM) from error


def _from_local(local: datetime, zone: ZoneInfo, fold: int | None, field: str) -> datetime:
    first, second = (local.replace(tzinfo=zone, fold=choice) for choice in (0, 1))
    if first.utcoffset() == second.utcoffset():
        return first.astimezone(UTC)
    if first.astimezone(UTC).astimezone(zone).replace(tzinfo=None) != local:
        # In a gap, fold=0 reads the clock from before the change and lands after it.
        after = first.astimezone(UTC).astimezone(zone)
        raise invalid(
            field,
            f"{local:%Y-%m-%d %H:%M} does not exist in {zone.key}: the clocks go forward then",
            f"choose another time, for instance {after:%H:%M}",
        )
    if fold is None:
        raise invalid(
            field,
            f"{local:%Y-%m-%d %H:%M} happens twice in {zone.key}: the clocks go back then",
            "add fold: 0 for the first time, 1 for the second, or write the UTC offset",
        )
    return (second if fold else first).astimezone(UTC)


def in_words(moment: datetime, zone: str) -> str:
    """A moment as its author would write it: local time with its offset."""
    return moment.astimezone(zone_named(zone)).isoformat(timespec="minutes")


def horizon(now: datetime) -> datetime:
    """The latest moment that is taken: a later one is a slip of the keyboard."""
    return now + timedelta(days=3660)
