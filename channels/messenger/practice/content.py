"""What the practice Messenger takes as a message: the documented limits, refused as documented."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from channels.facebook.practice.refusals import wrong_parameter

_KEYS = frozenset({"text", "attachment", "quick_replies", "metadata"})


def checked_content(content: Mapping[str, Any]) -> Mapping[str, Any]:
    """The content as it is. Error: `Refused`."""
    unknown = set(content) - _KEYS
    if unknown:
        raise wrong_parameter(f"Invalid keys {sorted(unknown)} were found in param message")
    if ("text" in content) == ("attachment" in content):
        raise wrong_parameter("Must send a message with text or an attachment")
    if "text" in content:
        _within(content["text"], 2000, "message[text]")
    else:
        _check_attachment(content["attachment"])
    _within(content.get("metadata", "-"), 1000, "message[metadata]")
    _check_quick_replies(content.get("quick_replies"))
    return content


def words_of(content: Mapping[str, Any]) -> str:
    """What a reader reads of it."""
    if "text" in content:
        return str(content["text"])
    return str(content["attachment"]["payload"]["text"])


def _within(text: Any, limit: int, name: str) -> None:
    if not isinstance(text, str) or not 0 < len(text) <= limit:
        raise wrong_parameter(f"Length of param {name} must be between 1 and {limit}")


def _check_attachment(attachment: Any) -> None:
    payload = attachment.get("payload") if isinstance(attachment, dict) else None
    if not isinstance(payload, dict) or attachment.get("type") != "template":
        raise wrong_parameter("Param message[attachment] must be a template")
    if payload.get("template_type") != "button":
        raise wrong_parameter("Param template_type must be button")
    _within(payload.get("text"), 640, "payload[text]")
    buttons = payload.get("buttons")
    if not isinstance(buttons, list) or not 1 <= len(buttons) <= 3:
        raise wrong_parameter("Param payload[buttons] must have between 1 and 3 buttons")
    for button in buttons:
        _check_button(button)


def _check_button(button: Any) -> None:
    if not isinstance(button, dict):
        raise wrong_parameter("Param payload[buttons] must be objects")
    _within(button.get("title"), 20, "buttons[title]")
    if button.get("type") == "web_url" and set(button) == {"type", "title", "url"}:
        if not str(button["url"]).startswith(("http://", "https://")):
            raise wrong_parameter("Param buttons[url] must be a valid URL")
        return
    if button.get("type") == "postback" and set(button) == {"type", "title", "payload"}:
        _within(button["payload"], 1000, "buttons[payload]")
        return
    raise wrong_parameter("Param payload[buttons] has a button of unknown shape")


def _check_quick_replies(replies: Any) -> None:
    if replies is None:
        return
    if not isinstance(replies, list) or not 1 <= len(replies) <= 13:
        raise wrong_parameter("Param message[quick_replies] must have between 1 and 13 replies")
    for reply in replies:
        shape = {"content_type", "title", "payload"}
        if not isinstance(reply, dict) or set(reply) != shape or reply["content_type"] != "text":
            raise wrong_parameter("Param message[quick_replies] has a reply of unknown shape")
        _within(reply["title"], 20, "quick_replies[title]")
        _within(reply["payload"], 1000, "quick_replies[payload]")
