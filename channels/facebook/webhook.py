"""What Facebook tells us by itself of a page's posts: a verified body to receipts. Pure.

Only the field `feed`, and of it what happened to posts of the page. Shapes: Meta's webhook
reference for pages, May 2026.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from channels.facebook.entries import dicts, entries_of
from channels.receipts import Receipt, ReceiptKind

_POSTS = frozenset({"album", "photo", "post", "share", "status", "video"})
_VERBS = {"remove": ReceiptKind.REMOVED, "hide": ReceiptKind.REMOVED, "edited": ReceiptKind.CHANGED}


def receipts_in(raw_body: bytes, page_id: str) -> Sequence[Receipt]:
    """The receipts of one page, in the order given; what is malformed is left out."""
    return [
        receipt
        for entry in entries_of(raw_body, page_id)
        for change in dicts(entry.get("changes"))
        if change.get("field") == "feed"
        for receipt in _read(change.get("value"), entry.get("time"))
    ]


def _read(value: Any, told_at: Any) -> list[Receipt]:
    if not isinstance(value, dict) or value.get("item") not in _POSTS:
        return []
    kind, post_id = _VERBS.get(str(value.get("verb"))), value.get("post_id")
    at = value.get("created_time", told_at)
    if kind is None or not isinstance(post_id, str):
        return []
    if not isinstance(at, int) or not 0 < at < 10**11:  # seconds since 1970
        return []
    return [
        Receipt(
            kind=kind,
            id=f"feed:{post_id}:{value['verb']}:{at}",
            at=datetime.fromtimestamp(at, UTC),
            remote_id=post_id,
        )
    ]
