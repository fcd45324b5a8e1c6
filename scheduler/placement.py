"""Where a campaign's posts stand in time: an anchor, and offsets in local days and times. Pure.

"14 days before at 10:00" is ten o'clock on the wall of the anchor's zone, on whichever side of a
clock change it falls. A local time that a change of clocks skips is read by the clock from before
the change (02:30 becomes 03:30), one that it repeats means the first: as RFC 5545, 3.3.5 has it
for calendars.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Annotated, Self

from pydantic import Field, model_validator

from scheduler.drafts import Strict
from scheduler.refusals import invalid
from scheduler.times import horizon, resolve, zone_named

MAX_DAYS = 1000
LocalTime = Annotated[
    str, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$", examples=["10:00"], description="HH:MM.")
]


@dataclass(frozen=True, slots=True)
class Anchor:
    """The moment that a campaign turns on: naive local time in an IANA zone."""

    local: datetime
    zone: str

    @property
    def instant(self) -> datetime:
        """Aware UTC."""
        return on_the_wall(self.local, self.zone)

    @property
    def text(self) -> str:
        """As a person writes it: `2026-05-02T09:00`."""
        exact = self.local.second or self.local.microsecond
        return self.local.isoformat(timespec="auto" if exact else "minutes")


class Placement(Strict):
    """When a post goes out, seen from the anchor: days and a local time (none: the anchor's own),
    or minutes. All zeros: the hour itself."""

    days: Annotated[int, Field(ge=-MAX_DAYS, le=MAX_DAYS, description="Negative: before.")] = 0
    at: LocalTime | None = None
    minutes: Annotated[
        int,
        Field(
            ge=-14400, le=14400, description="Instead of days: from the very moment; < 0 before."
        ),
    ] = 0

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.minutes and (self.days or self.at is not None):
            raise ValueError("is placed twice: give days with a time, or minutes, not both")
        return self


def on_the_wall(local: datetime, zone: str) -> datetime:
    """The instant (aware UTC) when the clocks of `zone` show the naive `local`."""
    return local.replace(tzinfo=zone_named(zone), fold=0).astimezone(UTC)


def local_of(moment: datetime, zone: str) -> datetime:
    """What the clocks of `zone` show at an aware moment; naive."""
    return moment.astimezone(zone_named(zone)).replace(tzinfo=None)


def due_at(anchor: Anchor, placement: Placement) -> datetime:
    """The instant (aware UTC) at which a post placed so is due."""
    if placement.minutes:
        return anchor.instant + timedelta(minutes=placement.minutes)
    day = anchor.local.date() + timedelta(days=placement.days)
    hour = anchor.local.time() if placement.at is None else time.fromisoformat(placement.at)
    return on_the_wall(datetime.combine(day, hour), anchor.zone)


def read_anchor(text: str, zone: str, now: datetime, field: str = "anchor") -> Anchor:
    """The anchor that a person wrote. Error: RefusedError naming `field` or `zone`."""
    zone_named(zone)
    form = "write it as 2026-05-02T09:00, in the local time of `zone`"
    try:
        local = datetime.fromisoformat(text.strip())
    except ValueError as error:
        raise invalid(field, f"{text!r} is no date and time", form) from error
    if local.tzinfo is not None:
        raise invalid(field, f"{text!r} has an offset from UTC, which `zone` says", form)
    instant = resolve(text, zone, 0, field)
    if not now - timedelta(days=3660) < instant < horizon(now):
        raise invalid(field, f"{text!r} is more than ten years away", "check the year")
    return Anchor(local, zone)
