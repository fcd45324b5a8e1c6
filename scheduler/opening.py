"""Opening hours of a week, and how a person would write them in each language. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import time
from itertools import groupby, pairwise
from typing import Annotated, Self

from babel import Locale, UnknownLocaleError
from babel.dates import format_time, get_day_names
from pydantic import Field, model_validator

from scheduler.drafts import Strict

_CLOCK = r"([01]\d|2[0-3]):[0-5]\d"
Span = Annotated[str, Field(pattern=f"^{_CLOCK}-({_CLOCK}|24:00)$", examples=["09:00-12:30"])]
Spans = Annotated[tuple[Span, ...], Field(max_length=6)]
_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


class Hours(Strict):
    """When it is open, by weekday; a day left out is closed."""

    monday: Spans = ()
    tuesday: Spans = ()
    wednesday: Spans = ()
    thursday: Spans = ()
    friday: Spans = ()
    saturday: Spans = ()
    sunday: Spans = ()

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        for name in _DAYS:
            spans = [span.split("-") for span in getattr(self, name)]
            if any(start >= end for start, end in spans):
                raise ValueError(f"{name}: a time ends before it begins; split it at midnight")
            if any(before[1] > after[0] for before, after in pairwise(spans)):
                raise ValueError(f"{name}: the times overlap or are out of order")
        return self

    @property
    def week(self) -> list[tuple[str, ...]]:
        """Spans by day, Monday first."""
        return [getattr(self, name) for name in _DAYS]


@dataclass(frozen=True, slots=True)
class _Style:
    days: str
    line: str
    closed: str


_STYLES: Mapping[str, _Style] = {
    "fr": _Style("du {first} au {last}", "{days}\u00a0: {hours}", "fermé"),
    "en": _Style("{first} to {last}", "{days}: {hours}", "closed"),
}
_PLAIN = _Style("{first} – {last}", "{days}: {hours}", "–")


def locale_of(language: str) -> Locale:
    """The locale of a language tag; English for one that CLDR does not know."""
    try:
        return Locale.parse(language, sep="-")
    except (ValueError, UnknownLocaleError):
        return Locale("en")


def clock_time(hour: time, locale: Locale) -> str:
    """`9 h 30` in French, as CLDR writes it elsewhere."""
    if locale.language == "fr":
        minutes = "\u00a0mm" if hour.minute else ""
        return format_time(hour, f"H\u00a0'h'{minutes}", locale=locale)
    return format_time(hour, "short", locale=locale)


def hours_in_words(hours: Hours, language: str) -> str:
    """A Markdown list: days that keep the same hours share a line."""
    locale = locale_of(language)
    style = _STYLES.get(locale.language, _PLAIN)
    names = get_day_names("wide", locale=locale)
    lines = []
    for _, run in groupby(enumerate(hours.week), key=lambda day: day[1]):
        days = list(run)
        first, last = names[days[0][0]], names[days[-1][0]]
        text = first if len(days) == 1 else style.days.format(first=first, last=last)
        spans = _spans(days[0][1], locale) or style.closed
        lines.append(f"- {style.line.format(days=text, hours=spans)}")
    return "\n".join(lines)


def _spans(spans: Sequence[str], locale: Locale) -> str:
    return ", ".join(
        "\u00a0–\u00a0".join(clock_time(_hour(end), locale) for end in span.split("-"))
        for span in spans
    )


def _hour(text: str) -> time:
    return time(0) if text == "24:00" else time.fromisoformat(text)
