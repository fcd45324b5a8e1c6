"""What the practice Bluesky's lexicon refuses in a post. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import regex

_TID = re.compile(r"[234567abcdefghij][234567abcdefghijklmnopqrstuvwxyz]{12}")
_RECORD = frozenset({"$type", "text", "createdAt", "langs", "facets", "embed", "reply", "tags"})


def pictures_of(record: Mapping[str, Any]) -> list[str]:
    """The blobs that a record shows."""
    embed = record.get("embed", {})
    blobs = [image.get("image", {}) for image in embed.get("images", [])]
    blobs += filter(None, [embed.get("external", {}).get("thumb")])
    return [str(blob.get("ref", {}).get("$link")) for blob in blobs]


def wrong_record(asked: Mapping[str, Any], record: Mapping[str, Any], rkey: str, repo: str) -> str:
    """What the lexicon finds wrong; empty when nothing is."""
    text = record.get("text")
    if not isinstance(text, str):
        return "Record must have the property text"
    data = text.encode()
    spans = [facet["index"] for facet in record.get("facets", [])]
    embed = record.get("embed", {})
    wrong = {
        "repo, collection or rkey": asked.get("repo") != repo
        or asked.get("collection") != "app.bsky.feed.post"
        or not _TID.fullmatch(rkey),
        "unknown property": bool(set(record) - _RECORD),
        "$type": record.get("$type") != "app.bsky.feed.post",
        "createdAt must be an RFC 3339 date": not _is_date(record.get("createdAt")),
        "text must not be longer than 300 graphemes": len(regex.findall(r"\X", text)) > 300,
        "text must not be longer than 3000 bytes": len(data) > 3000,
        "facets are out of range": any(
            not 0 <= span["byteStart"] < span["byteEnd"] <= len(data) for span in spans
        ),
        "facets split a character": any(not _splits_well(data, span) for span in spans),
        "embed has too many images": len(embed.get("images", [])) > 4,
        "embed images need an alt": any("alt" not in image for image in embed.get("images", [])),
    }
    return next((words for words, is_so in wrong.items() if is_so), "")


def _splits_well(data: bytes, span: Mapping[str, int]) -> bool:
    try:
        data[: span["byteStart"]].decode()
        data[span["byteStart"] : span["byteEnd"]].decode()
    except UnicodeDecodeError:
        return False
    return True


def _is_date(value: Any) -> bool:
    try:
        return datetime.fromisoformat(str(value)).astimezone(UTC) is not None
    except ValueError:
        return False
