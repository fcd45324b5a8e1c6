"""What a webhook call of Meta's holds, before anybody reads it. Pure."""

from __future__ import annotations

import json
from typing import Any


def entries_of(raw_body: bytes, page_id: str) -> list[dict[str, Any]]:
    """The entries about one page, in the order given; none when the body is malformed."""
    try:
        body = json.loads(raw_body)
    except (ValueError, RecursionError):
        return []
    if not isinstance(body, dict) or body.get("object") != "page":
        return []
    return [entry for entry in dicts(body.get("entry")) if str(entry.get("id")) == page_id]


def dicts(value: Any) -> list[dict[str, Any]]:
    """The objects of a list; what is none is left out."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
