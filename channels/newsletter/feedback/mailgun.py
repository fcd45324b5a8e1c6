"""Mailgun's webhooks: signed by HMAC over their timestamp and token, inside the body.

The signature does not cover the event, so that it counts for a day only: longer than Mailgun tries
again (8 hours), too short for one that was found somewhere; and for one body alone (`once`).
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from datetime import datetime, timedelta
from hashlib import sha256

from channels.newsletter.feedback import common
from channels.newsletter.feedback.settings import Mailgun
from channels.receipts import Receipt

GOOD_FOR = timedelta(days=1)

# Mailgun did not even try, because of what this address did before.
_SUPPRESSED = {"suppress-bounce": common.NO_SUCH_ADDRESS}
_LEFT = frozenset({"suppress-unsubscribe"})
_COMPLAINED = frozenset({"suppress-complaint"})


def verified(settings: Mailgun, raw: bytes, now: datetime) -> bool:
    signed = common.mapping(common.an_object(raw).get("signature"))
    timestamp, token = common.text(signed.get("timestamp")), common.text(signed.get("token"))
    if not timestamp.isdigit() or not token:
        return False
    key = settings.signing_key.get_secret_value().encode()
    wanted = hmac.new(key, f"{timestamp}{token}".encode(), sha256).hexdigest()
    if not hmac.compare_digest(wanted.encode(), common.text(signed.get("signature")).encode()):
        return False
    return abs(now - common.at(int(timestamp))) < GOOD_FOR


def once(raw: bytes) -> str:
    """The token that was signed."""
    return common.text(common.mapping(common.an_object(raw).get("signature")).get("token"))


def receipts(raw: bytes) -> Sequence[Receipt]:
    event = common.mapping(common.an_object(raw).get("event-data"))
    address, event_id = common.text(event.get("recipient")), common.text(event.get("id"))
    if not address or not event_id:
        return []
    at, reason = common.at(event.get("timestamp")), common.text(event.get("reason"))
    name = event.get("event")
    headers = common.mapping(common.mapping(event.get("message")).get("headers"))
    about = common.text(headers.get("message-id"))
    lasting = name == "failed" and event.get("severity") == "permanent"
    if name == "complained" or (lasting and reason in _COMPLAINED):
        return [common.complained(event_id, at, address, reason, about=about)]
    if name == "delivered":
        return [common.arrived(event_id, at, address, about=about)]
    if name == "unsubscribed" or (lasting and reason in _LEFT):
        return [common.left(event_id, at, address)]
    if not lasting:
        return []  # opens, clicks, and failures that Mailgun will try again
    said = common.mapping(event.get("delivery-status"))
    words = common.text(said.get("message")) or common.text(said.get("description"))
    status = (
        _SUPPRESSED.get(reason)
        or common.status_in(common.text(said.get("enhanced-code")))
        or common.hard(words)
    )
    return [
        common.failed(event_id, at, address, status, f"{said.get('code')} {words}", about=about)
    ]
