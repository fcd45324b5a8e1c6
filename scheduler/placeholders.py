"""`{{date}}`, `{{days_left}}`, opening hours, an owner's own fields: filled in the post's language
when it is sent. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import Annotated

from babel import Locale
from babel.dates import format_date, format_skeleton, format_timedelta
from pydantic import Field

from channels.posts import Action, Poll, Post, Variant
from scheduler.drafts import Text
from scheduler.opening import Hours, clock_time, hours_in_words, locale_of
from scheduler.placement import Anchor, local_of

FieldName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
FieldValue = Annotated[Text, Field(max_length=2000)]
_PLACEHOLDER = re.compile(r"\{\{\s*(.*?)\s*\}\}", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """What a campaign's placeholders stand for."""

    anchor: Anchor
    fields: Mapping[str, str] = field(default_factory=dict)
    hours: Hours | None = None


@dataclass(frozen=True, slots=True)
class _Moment:
    """One filling: the frame, the local day it is read on, the language."""

    frame: Frame
    today: date
    locale: Locale

    @property
    def days_left(self) -> int:
        return (self.frame.anchor.local.date() - self.today).days


class UnknownPlaceholderError(ValueError):
    """A text asks for something that its campaign does not have."""


def _full_date(this: _Moment) -> str:
    return written_date(this.frame.anchor.local, this.locale)


def _day(this: _Moment) -> str:
    return written_date(this.frame.anchor.local, this.locale, year=False)


def _time(this: _Moment) -> str:
    return clock_time(this.frame.anchor.local.time(), this.locale)


def _weekday(this: _Moment) -> str:
    return format_date(this.frame.anchor.local, "EEEE", locale=this.locale)


def _days_left(this: _Moment) -> str:
    return str(max(this.days_left, 0))


def _countdown(this: _Moment) -> str:
    near = _NEAR_DAYS.get(this.locale.language, {}).get(this.days_left)
    return near or format_timedelta(
        timedelta(days=this.days_left),
        granularity="day",
        threshold=10_000,
        add_direction=True,
        locale=this.locale,
    )


_BUILT_IN: Mapping[str, Callable[[_Moment], str]] = {
    "date": _full_date,
    "day": _day,
    "weekday": _weekday,
    "time": _time,
    "days_left": _days_left,
    "countdown": _countdown,
}
_NEAR_DAYS: Mapping[str, Mapping[int, str]] = {
    "fr": {-1: "hier", 0: "aujourd’hui", 1: "demain"},
    "en": {-1: "yesterday", 0: "today", 1: "tomorrow"},
}
RESERVED = frozenset({*_BUILT_IN, "hours"})


def written_date(day: date, locale: Locale, *, year: bool = True) -> str:
    """`samedi 2 mai 2026`, `Saturday, May 2, 2026`; without the year on demand."""
    pattern = str(locale.date_formats["full"].pattern)
    if not year:
        # CLDR has no skeleton for it in most languages; where the year comes first it stays.
        pattern = re.sub(r"[\s,]*('[^']*'\s*)?y+.*$", "", pattern) or pattern
    if locale.language == "fr" and day.day == 1:
        pattern = pattern.replace("d", "d'er'", 1)
    return format_date(day, pattern, locale=locale)


def names_in(text: str) -> list[str]:
    """The placeholders of a text, in order."""
    return _PLACEHOLDER.findall(text)


def known_names(frame: Frame) -> list[str]:
    """Every placeholder that has a value here."""
    hours = [] if frame.hours is None else ["hours"]
    return sorted({*_BUILT_IN, *hours, *frame.fields})


def fill_text(text: str, frame: Frame, at: datetime, language: str) -> str:
    """`text` as it reads at the aware moment `at`. Error: UnknownPlaceholderError."""
    if "{{" not in text:
        return text
    this = _Moment(frame, local_of(at, frame.anchor.zone).date(), locale_of(language))
    return _PLACEHOLDER.sub(lambda match: _value(match[1], this, language), text)


def _value(name: str, this: _Moment, language: str) -> str:
    if name in _BUILT_IN:
        return _BUILT_IN[name](this)
    if name == "hours" and this.frame.hours is not None:
        return hours_in_words(this.frame.hours, language)
    if name in this.frame.fields:
        return this.frame.fields[name]
    raise UnknownPlaceholderError(name)


def fill(post: Post, frame: Frame, at: datetime) -> Post:
    """The post as it reads at `at`. Error: UnknownPlaceholderError."""

    def filled(text: str) -> str:
        return fill_text(text, frame, at, post.language)

    return _with_texts(post, filled)


def _with_texts(post: Post, change: Callable[[str], str]) -> Post:
    """The post with every text that readers see changed."""

    def maybe(text: str | None) -> str | None:
        return None if text is None else change(text)

    poll = post.poll
    return replace(
        post,
        title=change(post.title),
        body=change(post.body),
        summary=change(post.summary),
        first_comment=change(post.first_comment),
        poll=None if poll is None else _changed_poll(poll, change),
        actions=tuple(Action(label=change(one.label), url=one.url) for one in post.actions),
        variants={
            channel: Variant(
                title=maybe(one.title), body=maybe(one.body), link=one.link, media=one.media
            )
            for channel, one in post.variants.items()
        },
    )


def _changed_poll(poll: Poll, change: Callable[[str], str]) -> Poll:
    return replace(
        poll,
        question=change(poll.question),
        options=tuple(change(option) for option in poll.options),
    )


def texts_of(post: Post) -> Iterator[tuple[str, str]]:
    """(field as in a draft, text) of everything that may hold placeholders."""
    yield from (("title", post.title), ("body", post.body), ("summary", post.summary))
    yield "first_comment", post.first_comment
    if post.poll is not None:
        yield "poll.question", post.poll.question
        for index, option in enumerate(post.poll.options):
            yield f"poll.options[{index}]", option
    for index, action in enumerate(post.actions):
        yield f"actions[{index}].label", action.label
    for channel, variant in post.variants.items():
        yield f"variants.{channel}.title", variant.title or ""
        yield f"variants.{channel}.body", variant.body or ""


def unknown_in(post: Post, frame: Frame) -> list[tuple[str, str]]:
    """(field, placeholder) of each one that has no value here."""
    known = set(known_names(frame))
    return [
        (where, name) for where, text in texts_of(post) for name in names_in(text)
        if name not in known
    ]  # fmt: skip


def states_date(post: Post, day: date) -> bool:
    """Whether the author wrote this very day into the words, by hand."""
    locale = locale_of(post.language)
    forms = [
        day.isoformat(),
        *(format_date(day, form, locale=locale) for form in ("long", "short")),
        format_skeleton("MMMMd", day, locale=locale),
    ]
    if locale.language == "fr" and day.day == 1:
        forms.append(format_date(day, "d'er' MMMM", locale=locale))
    said = re.compile("|".join(rf"(?<!\d){re.escape(form)}(?!\d)" for form in forms), re.IGNORECASE)
    return any(said.search(text.replace("\u00a0", " ")) for _, text in texts_of(post))
