"""Titles as readers get them: those of a campaign with its placeholders filled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from scheduler.campaigns import frame_at
from scheduler.clock import moment
from scheduler.placeholders import UnknownPlaceholderError, fill_text
from scheduler.store import campaigns
from scheduler.store.db import Connection

Row = Mapping[Any, Any]


async def headlined(connection: Connection, rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Rows of `posts`, with what their titles say on their day."""
    told = await campaigns.told_by(connection, rows)
    return [{**row, "title": _filled(row, told.get(row["campaign_id"]))} for row in rows]


def _filled(row: Row, campaign: Row | None) -> str:
    title: str = row["title"]
    if campaign is None or "{{" not in title:
        return title
    at: int = row["due_at"]
    language = row["content"].get("language", "en")
    try:
        return fill_text(title, frame_at(campaign, at), moment(at), language)
    except UnknownPlaceholderError:  # its author took the field away: what is left to see is that
        return title
