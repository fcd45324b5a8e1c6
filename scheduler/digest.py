"""The digest: what several posts would have said elsewhere, in one piece. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from channels.words import shorten, to_plain
from scheduler.clock import micros, moment

DAY = timedelta(days=1)
# Part of a channel's limit that the posts of a digest share; the rest is for headings and links.
_SHARE: Final = 0.8
_SHORTEST: Final = 80

Row = Mapping[Any, Any]

_WORDS: Mapping[str, Mapping[str, str]] = {
    "en": {"digest": "News from {name}", "catch-up": "While this page was away", "more": "Read"},
    "fr": {
        "digest": "Des nouvelles de {name}",
        "catch-up": "Pendant que cette page était absente",
        "more": "Lire",
    },
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """What the channel that takes the digest can carry."""

    channel: str
    text_limit: int | None
    max_images: int


def slot_after(at: int, zone: str, hour: int, day: int = 0) -> int:
    """The first moment at or after `at` when it is `hour` o'clock in `zone`; microseconds.
    `day`: of a practice day, which knows no zone; 0: a real one."""
    if day:
        return at + (hour * day // 24 - at) % day
    local = moment(at).astimezone(ZoneInfo(zone))
    slot = datetime.combine(local.date(), time(hour), ZoneInfo(zone))
    if micros(slot) < at:
        slot = datetime.combine(local.date() + DAY, time(hour), ZoneInfo(zone))
    return micros(slot)


def week_of(at: int, zone: str, day: int = 0) -> tuple[int, int]:
    """Begin and end (exclusive) of the calendar week around `at`, in `zone`; microseconds.
    `day` as in `slot_after`."""
    if day:
        monday_us = at - at % (7 * day)
        return monday_us, monday_us + 7 * day
    local = moment(at).astimezone(ZoneInfo(zone))
    monday = local.date() - timedelta(days=local.weekday())
    bounds = (
        datetime.combine(day, time(), ZoneInfo(zone)) for day in (monday, monday + timedelta(7))
    )
    begin, end = (micros(one) for one in bounds)
    return begin, end


def language_of(rows: Sequence[Row]) -> str:
    """The language that most of the posts are in."""
    counted = Counter(row["content"].get("language", "en") for row in rows)
    return counted.most_common(1)[0][0] if counted else "en"


def digest_words(rows: Sequence[Row], *, name: str, note: str, room: Room) -> tuple[str, Row]:
    """Title and content (as `scheduler.content` has it) of one post that says what all of `rows`
    (of posts, in order) say. `name`: whose news; `note`: why readers find it here."""
    language = language_of(rows)
    say = _say(language)
    own = [_own_words(row, room.channel) for row in rows]
    each = None
    if room.text_limit is not None:
        each = max(int(room.text_limit * _SHARE) // max(len(own), 1), _SHORTEST)
    body = "\n\n".join(
        ([note] if note else []) + [_section(words, each, say["more"]) for words in own]
    )
    media = [item for words in own for item in words.get("media", ())][: room.max_images]
    return say["digest"].format(name=name), {"body": body, "language": language, "media": media}


def catch_up_words(rows: Sequence[Row], links: Mapping[str, str]) -> tuple[str, Row]:
    """Title and content of a post that names what was said elsewhere. `links`: post id -> where
    it stands."""
    language = language_of(rows)
    lines = []
    for row in rows:
        title = row["title"] or shorten(to_plain(row["content"].get("body", "")), _SHORTEST)
        link = links.get(row["id"]) or row["content"].get("link")
        lines.append(f"- {title}: {link}" if link else f"- {title}")
    return _say(language)["catch-up"], {"body": "\n".join(lines), "language": language}


def _say(language: str) -> Mapping[str, str]:
    return _WORDS["fr" if language.lower().startswith("fr") else "en"]


def _own_words(row: Row, channel: str) -> Row:
    """The post as its author wrote it for this channel."""
    content = row["content"]
    variant = content.get("variants", {}).get(channel, {})
    changed = {name: value for name, value in variant.items() if value is not None}
    return {"title": row["title"], **content, **changed}


def _section(words: Row, limit: int | None, more: str) -> str:
    parts = [f"## {words['title']}"] if words.get("title") else []
    body = words.get("body", "")
    if limit is not None and len(body) > limit:
        body = words.get("summary") or shorten(to_plain(body), limit)
    parts += [body] if body else []
    if words.get("link"):
        parts.append(f"[{more}: {words['link']}]({words['link']})")
    return "\n\n".join(parts)
