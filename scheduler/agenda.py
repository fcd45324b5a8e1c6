"""What is planned, as a calendar that people subscribe to (RFC 5545). Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from icalendar import Calendar, Event

from channels.words import shorten, to_plain
from scheduler.campaign_answers import readable
from scheduler.campaigns import Row, frame_now
from scheduler.clock import moment
from scheduler.deliveries import State

REFRESH = timedelta(minutes=15)
_SUMMARY = 80  # characters
_TEXT = 2000
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_WORDS: Mapping[str, Mapping[str, str]] = {
    "en": {"name": "Planned posts", "colon": ": "},
    "fr": {"name": "Publications prévues", "colon": "\u00a0: "},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A row of `posts`, its deliveries (with `account_name`), its campaign."""

    row: Row
    legs: Sequence[Row]
    campaign: Row | None


def to_calendar(
    planned: Iterable[Planned], campaigns: Iterable[Row], *, host: str, language: str
) -> bytes:
    """The feed. `host` makes the identities of its entries unique in the world."""
    words = _WORDS.get(language, _WORDS["en"])
    calendar = Calendar()
    calendar.add("prodid", "-//Estafette//Planned posts//EN")
    calendar.add("version", "2.0")
    calendar.add("method", "PUBLISH")
    calendar.add("x-wr-calname", words["name"])
    calendar.add("refresh-interval", REFRESH, parameters={"VALUE": "DURATION"})
    calendar.add("x-published-ttl", "PT15M")
    for campaign in campaigns:
        calendar.add_component(_anchor(campaign, host))
    for one in planned:
        calendar.add_component(_entry(one, host, words))
    data: bytes = calendar.to_ical()
    return data


def _entry(planned: Planned, host: str, words: Mapping[str, str]) -> Event:
    row = planned.row
    post = readable(row, planned.campaign, row["due_at"])
    plain = _clean(to_plain(post.body))
    states = [f"{leg['account_name']}{words['colon']}{leg['state']}" for leg in planned.legs]
    event = _event(
        f"{row['id']}@{host}", moment(row["due_at"]), row,
        summary=_clean(post.title) or shorten(plain, _SUMMARY),
    )  # fmt: skip
    event.add("description", "\n".join([*states, "", shorten(plain, _TEXT)]).strip())
    held = any(leg["state"] == State.HELD for leg in planned.legs)
    event.add("status", "TENTATIVE" if held else "CONFIRMED")
    if planned.campaign is not None:
        event.add("categories", [_clean(planned.campaign["name"])])
    return event


def _anchor(campaign: Row, host: str) -> Event:
    """The moment that a campaign turns on."""
    at = frame_now(campaign).anchor.instant
    event = _event(
        f"campaign-{campaign['id']}@{host}", at, campaign, summary=_clean(campaign["name"])
    )
    event.add("status", "CONFIRMED")
    return event


def _event(uid: str, at: datetime, row: Mapping[Any, Any], *, summary: str) -> Event:
    event = Event()
    event.add("uid", uid)
    event.add("dtstamp", moment(row["updated_at"]))
    event.add("last-modified", moment(row["updated_at"]))
    event.add("created", moment(row["created_at"]))
    event.add("sequence", row["version"] - 1)
    event.add("dtstart", at)
    event.add("summary", summary)
    event.add("transp", "TRANSPARENT")  # nobody is busy because a post goes out
    return event


def _clean(text: str) -> str:
    """Without the control characters that no calendar may hold."""
    return _CONTROL.sub("", text.replace("\r\n", "\n").replace("\r", "\n")).strip()
