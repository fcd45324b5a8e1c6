"""Was one person written to after all? Read the page's conversation with them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from channels.facebook.graph import Graph, Refusal, Road
from channels.facebook.lookup import SKEW, normal
from channels.outcome import Delivered, Evidence, Finding


async def look_for(
    graph: Graph, way: Road, person: str, *, text: str, since: datetime
) -> Delivered | Finding:
    """Our message with this text, sent at or after `since` (UTC).

    ABSENT needs the conversation read back past `since`, without any message of ours in it whose
    words cannot be compared (a template comes back without text).
    """
    query = {
        "platform": "messenger",
        "user_id": person,
        "fields": "messages{id,message,created_time,from}",
    }
    answer = await graph.read((way.page / "conversations").with_query(query), way)
    if isinstance(answer, Refusal):
        return Finding.UNKNOWN
    conversations = answer.data.get("data")
    if not isinstance(conversations, list):
        return Finding.UNKNOWN
    found = [
        _in_conversation(conversation, way.page_id, normal(text), since, answer.evidence)
        for conversation in conversations
    ]
    delivered = next((item for item in found if isinstance(item, Delivered)), None)
    if delivered is not None:
        return delivered
    return Finding.UNKNOWN if Finding.UNKNOWN in found else Finding.ABSENT


def _in_conversation(
    conversation: Any, page_id: str, text: str, since: datetime, evidence: Evidence
) -> Delivered | Finding:
    messages = conversation.get("messages") if isinstance(conversation, dict) else None
    listed = messages.get("data") if isinstance(messages, dict) else None
    if not isinstance(messages, dict) or not isinstance(listed, list):
        return Finding.UNKNOWN
    complete, unreadable = "next" not in (messages.get("paging") or {}), False
    for message in listed:
        made = _made(message)
        if made is not None and made < since - SKEW:
            complete = True
            continue
        if made is None:
            unreadable = True
        elif _sender(message) == page_id:
            words = normal(str(message.get("message") or ""))
            if words and words == text:
                return Delivered(
                    remote_id=str(message.get("id", "")),
                    note="found in the conversation",
                    evidence=evidence,
                )
            unreadable = unreadable or not words
    return Finding.ABSENT if complete and not unreadable else Finding.UNKNOWN


def _made(message: Any) -> datetime | None:
    try:
        return datetime.fromisoformat(message["created_time"])
    except (KeyError, TypeError, ValueError):
        return None


def _sender(message: Mapping[str, Any]) -> str:
    sender = message.get("from")
    return str(sender.get("id", "")) if isinstance(sender, dict) else ""
