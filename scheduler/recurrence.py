"""When something comes round again: RFC 5545 rules, reckoned on the wall clock. Pure.

A rule works on local dates and times, and each occurrence becomes an instant by its zone: "every
Tuesday at 9" stays at nine across clock changes.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from itertools import islice
from typing import Annotated

from dateutil.rrule import rrule, rrulestr
from pydantic import AfterValidator, Field

from scheduler.drafts import Strict, Text
from scheduler.placement import local_of
from scheduler.refusals import RefusedError, invalid
from scheduler.storyboard import AnchorText, Story

FREQUENCIES = ("DAILY", "WEEKLY", "MONTHLY", "YEARLY")
_PARTS = {
    "FREQ", "INTERVAL", "COUNT", "UNTIL", "BYDAY", "BYMONTHDAY", "BYYEARDAY", "BYWEEKNO",
    "BYMONTH", "BYSETPOS", "WKST",
}  # fmt: skip
_HOURLY = {"BYHOUR", "BYMINUTE", "BYSECOND"}
_FORM = "write it as FREQ=WEEKLY;BYDAY=TU, with UNTIL=20271231 or COUNT=10 to end it"
_UNTIL = re.compile(r"\d{8}(T\d{6}Z?)?")
MAX_COUNT = 10_000


def _date_or_time(text: str) -> str:
    datetime.fromisoformat(text)
    return text


Excepted = Annotated[
    str,
    Field(
        pattern=r"^\d{4}-\d\d-\d\d(T\d\d:\d\d)?$",
        examples=["2026-12-25"],
        description="A local day, or one local time, on which it does not come round.",
    ),
    AfterValidator(_date_or_time),
]


class RecurrenceDraft(Story):
    """A story that comes round again: each occurrence is a campaign with its anchor there."""

    rule: Annotated[Text, Field(max_length=500, description="An RRULE of RFC 5545.")]
    start: AnchorText
    exceptions: Annotated[tuple[Excepted, ...], Field(max_length=500)] = ()

    @property
    def story(self) -> Story:
        """What each occurrence tells."""
        return Story.model_validate(self.model_dump(include=set(Story.model_fields)))


class Skip(Strict):
    """An occurrence that is not to be."""

    occurrence: Excepted


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule with its start and end; local times. `text` has neither COUNT nor UNTIL."""

    text: str
    start: datetime
    count: int | None
    until: datetime | None

    def times(self, upto: datetime) -> Iterable[datetime]:
        """Every occurrence up to a local time, itself included."""
        last = upto if self.until is None else min(upto, self.until)
        repeated: rrule = rrulestr(self.text, dtstart=self.start)
        return islice(repeated.replace(until=last), self.count)

    def between(
        self, after: datetime, upto: datetime, exceptions: Collection[str] = ()
    ) -> list[datetime]:
        """Occurrences later than `after`, up to `upto`, but for the exceptions."""
        return [
            found
            for found in self.times(upto)
            if found > after and not is_exception(found, exceptions)
        ]


def is_exception(occurrence: datetime, exceptions: Collection[str]) -> bool:
    """Whether its day, or its very time, is excepted."""
    return (
        occurrence.date().isoformat() in exceptions
        or occurrence.isoformat(timespec="minutes") in exceptions
    )


def read_rule(text: str, start: datetime, zone: str) -> Rule:
    """A rule as a person wrote it. Error: RefusedError naming `rule`."""
    parts = _parts(text)
    count = parts.pop("COUNT", None)
    until = parts.pop("UNTIL", None)
    if count is not None and until is not None:
        raise invalid("rule", "COUNT and UNTIL both end it", "keep one of them")
    plain = ";".join(f"{name}={value}" for name, value in parts.items())
    rule = Rule(
        plain,
        start,
        None if count is None else _number("COUNT", count, MAX_COUNT),
        None if until is None else _until(until, zone),
    )
    try:
        first = next(iter(rule.times(start + timedelta(days=3660))), None)
    except (ValueError, TypeError, IndexError) as error:
        raise invalid("rule", f"{text!r} is no rule: {error}", _FORM) from error
    if first is None:
        raise invalid("rule", "it never comes round in ten years", "check its dates and its end")
    return rule


def _parts(text: str) -> dict[str, str]:
    parts: dict[str, str] = {}
    for part in text.strip().upper().removeprefix("RRULE:").rstrip(";").split(";"):
        name, _, value = part.partition("=")
        if name in _HOURLY:
            raise invalid("rule", f"{name} is not taken: `start` says the time of day", _FORM)
        if name not in _PARTS or not value:
            raise invalid("rule", f"{part!r} is no part of a rule", _FORM)
        if name in parts:
            raise invalid("rule", f"{name} stands there twice", "keep one of them")
        parts[name] = value
    if parts.get("FREQ") not in FREQUENCIES:
        raise invalid("rule", "FREQ is missing or too often", f"one of {', '.join(FREQUENCIES)}")
    # Zero would never come to an end.
    parts["INTERVAL"] = str(_number("INTERVAL", parts.get("INTERVAL", "1"), 1000))
    return parts


def _number(name: str, text: str, largest: int) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= largest):
        raise invalid("rule", f"{name}={text} is out of range", f"from 1 to {largest}")
    return int(text)


def _until(text: str, zone: str) -> datetime:
    """A day (all of it), a local time, or an instant in UTC."""
    try:
        if not _UNTIL.fullmatch(text):
            raise _no_until(text)
        if len(text) == len("20271231"):
            return datetime.combine(datetime.fromisoformat(text).date(), time.max)
        local = datetime.fromisoformat(text.removesuffix("Z"))
        return local_of(local.replace(tzinfo=UTC), zone) if text.endswith("Z") else local
    except (ValueError, OverflowError) as error:
        raise _no_until(text) from error


def _no_until(text: str) -> RefusedError:
    return invalid("rule", f"UNTIL={text} is no moment", "write UNTIL=20271231")
