"""Brevo's webhooks: unsigned, but sent with the bearer token that we gave it. Events have no id of
their own."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from channels.newsletter.feedback import common
from channels.newsletter.feedback.settings import Brevo
from channels.receipts import Receipt

_FAILED: Mapping[str, Callable[[str], str]] = {
    "hard_bounce": common.hard,
    "soft_bounce": common.soft,
    "invalid_email": lambda _: "5.1.3",
    "blocked": lambda _: common.UNWANTED,
}
_COMPLAINED = frozenset({"spam", "complaint"})


def verified(settings: Brevo, headers: Mapping[str, str]) -> bool:
    wanted = f"Bearer {settings.token.get_secret_value()}".encode()
    return hmac.compare_digest(wanted, headers.get("Authorization", "").encode("utf-8", "replace"))


def receipts(raw: bytes) -> Sequence[Receipt]:
    found = [_receipt(event) for event in common.objects(raw)]
    return [one for one in found if one is not None]


def _receipt(event: Mapping[str, Any]) -> Receipt | None:
    kind, address = common.text(event.get("event")), common.text(event.get("email"))
    if not address:
        return None
    seconds = event.get("ts_event") or event.get("ts")
    event_id = f"{kind} {address} {event.get('message-id')} {seconds}"
    about = common.text(event.get("message-id"))
    at, words = common.at(seconds), common.text(event.get("reason"))
    if kind in _COMPLAINED:
        return common.complained(event_id, at, address, about=about)
    if kind == "delivered":
        return common.arrived(event_id, at, address, about=about)
    if kind == "unsubscribed":
        return common.left(event_id, at, address)
    status = _FAILED.get(kind)
    if status is None:
        return None
    return common.failed(event_id, at, address, status(words), words, about=about)
