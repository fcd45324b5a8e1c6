"""Was it published after all? Read the page's own listing back to before the attempt."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import Enum, auto
from typing import Any

from yarl import URL

from channels.facebook.graph import Graph, Refusal, Road
from channels.outcome import Delivered, Finding
from channels.posts import Message, Part

PAGE_LENGTH = 25
MAX_PAGES = 20
SKEW = timedelta(minutes=2)  # between our clock and the platform's
_NEAR = 80

_POST_FIELDS = "id,message,created_time,permalink_url,attachments{url,unshimmed_url}"
_COMMENT_FIELDS = "id,message,created_time,permalink_url"


class _Likeness(Enum):
    SAME = auto()
    NEAR = auto()
    OTHER = auto()


async def look_for(
    graph: Graph, way: Road, message: Message, *, since: datetime
) -> Delivered | Finding:
    """The post (or comment) with this very text, made at or after `since` (UTC).

    ABSENT needs a complete listing back past `since` in which nothing even resembles it: the same
    link, or the same beginning, is a matter for a person. A video is never proven absent: it
    stays out of the listing while it is processed.
    """
    start = since - SKEW
    listing = _listing(way, message)
    url = listing
    resembling = False
    for _ in range(MAX_PAGES):
        answer = await graph.read(url, way)
        if isinstance(answer, Refusal):
            return Finding.UNKNOWN
        entries = answer.data.get("data")
        if not isinstance(entries, list):
            return Finding.UNKNOWN
        recent = [entry for entry in entries if _made_since(entry, start)]
        for entry in recent:
            likeness = _likeness(entry, message)
            if likeness is _Likeness.SAME:
                return Delivered(
                    remote_id=str(entry["id"]),
                    url=entry.get("permalink_url"),
                    note="found on the platform",
                    evidence=answer.evidence,
                )
            resembling = resembling or likeness is _Likeness.NEAR
        following = _following(answer.data, listing)
        if following is None or (entries and not recent):
            return Finding.UNKNOWN if resembling or _is_video(message) else Finding.ABSENT
        url = following
    return Finding.UNKNOWN


def _listing(way: Road, message: Message) -> URL:
    if message.part is Part.FIRST_COMMENT:
        query = {"filter": "stream", "order": "reverse_chronological", "fields": _COMMENT_FIELDS}
        place = way.root / str(message.reply_to) / "comments"
    else:
        query = {"fields": _POST_FIELDS}
        place = way.page / "published_posts"
    return place.with_query({**query, "limit": str(PAGE_LENGTH)})


def _following(data: Mapping[str, Any], listing: URL) -> URL | None:
    """The next page; None at the end, which is a missing `paging.next`. The address is built from
    the cursor, since the platform's own carries the token."""
    paging = data.get("paging")
    if not isinstance(paging, dict) or "next" not in paging:
        return None
    cursors = paging.get("cursors")
    after = cursors.get("after") if isinstance(cursors, dict) else None
    return listing.update_query(after=str(after)) if after else listing


def _made_since(entry: Any, start: datetime) -> bool:
    """Whether it falls into the window; what has no readable time might."""
    try:
        return datetime.fromisoformat(entry["created_time"]) >= start
    except (KeyError, TypeError, ValueError):
        return True


def _likeness(entry: Any, message: Message) -> _Likeness:
    if not isinstance(entry, dict) or "id" not in entry:
        return _Likeness.NEAR
    text, ours = normal(str(entry.get("message") or "")), normal(message.text)
    same_link = message.link is not None and message.link in _links(entry)
    if text == ours and (ours or same_link):
        return _Likeness.SAME
    if same_link or (ours and text[:_NEAR] == ours[:_NEAR]):
        return _Likeness.NEAR
    return _Likeness.OTHER


def normal(text: str) -> str:
    return " ".join(unicodedata.normalize("NFC", text).split())


def _links(entry: Mapping[str, Any]) -> set[str]:
    attached = entry.get("attachments")
    items = attached.get("data") if isinstance(attached, dict) else None
    if not isinstance(items, list):
        return set()
    return {
        item[name]
        for item in items
        if isinstance(item, dict)
        for name in ("url", "unshimmed_url")
        if isinstance(item.get(name), str)
    }


def _is_video(message: Message) -> bool:
    return any(not item.is_image for item in message.media)
