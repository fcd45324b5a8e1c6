"""Listings of the practice Graph API: newest first, in pages, with cursors."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import Any

from channels.facebook.practice.graph import Call
from channels.facebook.practice.refusals import wrong_parameter
from channels.sandbox.ledger import Entry


def limit_of(call: Call) -> int:
    value = call.values.get("limit", "25")
    if not value.isdigit() or not 1 <= int(value) <= 100:
        raise wrong_parameter("Param limit must be between 1 and 100")
    return int(value)


def cursor_of(call: Call) -> int | None:
    after = call.values.get("after")
    if after is None:
        return None
    try:
        return int(base64.urlsafe_b64decode(after))
    except (ValueError, binascii.Error) as error:
        raise wrong_parameter("Param after is not a valid cursor") from error


def page_of(
    data: list[dict[str, Any]], entries: Sequence[Entry], limit: int, call: Call
) -> dict[str, Any]:
    """One page of a listing. The address of the next carries the token, as the real one does."""
    if not entries:
        return {"data": data}
    last = entries[:limit][-1].seq
    after = base64.urlsafe_b64encode(str(last).encode()).decode()
    paging: dict[str, Any] = {"cursors": {"before": "", "after": after}}
    if len(entries) > limit:
        following = call.request.url.update_query(after=after, access_token=call.page.token)
        paging["next"] = str(following)
    return {"data": data, "paging": paging}
