"""What Messenger tells us by itself: a verified body to receipts. Pure.

Events come repeated and out of order; the id of each receipt is the same every time, built on the
message id where there is one. Shapes: Meta's webhook reference, May 2026.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from channels.facebook.entries import dicts, entries_of
from channels.receipts import Receipt, ReceiptKind

WINDOW = timedelta(hours=24)


def receipts_in(raw_body: bytes, page_id: str) -> Sequence[Receipt]:
    """The receipts of one page, in the order given; what is malformed is left out."""
    return [
        receipt
        for entry in entries_of(raw_body, page_id)
        for event in dicts(entry.get("messaging"))
        for receipt in _read(event)
    ]


def _read(event: Mapping[str, Any]) -> Iterator[Receipt]:
    at = _moment(event.get("timestamp"))
    if at is None:
        return
    for name, reader in _READERS.items():
        part = event.get(name)
        if isinstance(part, dict):
            yield from reader(event, part, at)


def _moment(milliseconds: Any) -> datetime | None:
    if not isinstance(milliseconds, int) or not 0 < milliseconds < 10**14:
        return None
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def _party(event: Mapping[str, Any], role: str) -> str:
    party = event.get(role)
    return str(party.get("id", "")) if isinstance(party, dict) else ""


def _message(
    event: Mapping[str, Any], message: Mapping[str, Any], at: datetime
) -> Iterator[Receipt]:
    mid = str(message.get("mid") or "")
    if not mid:
        return
    if message.get("is_echo") is True:
        yield Receipt(
            kind=ReceiptKind.ECHO,
            id=f"echo:{mid}",
            at=at,
            address=_party(event, "recipient"),
            remote_id=mid,
            key=str(message.get("metadata") or ""),
            text=str(message.get("text") or ""),
        )
        return
    tapped = message.get("quick_reply")
    yield Receipt(
        kind=ReceiptKind.ANSWER if isinstance(tapped, dict) else ReceiptKind.MESSAGE,
        id=mid,
        at=at,
        address=_party(event, "sender"),
        remote_id=mid,
        text=str(message.get("text") or ""),
        payload=str(tapped.get("payload", "")) if isinstance(tapped, dict) else "",
        writable_until=at + WINDOW,
    )


def _postback(
    event: Mapping[str, Any], postback: Mapping[str, Any], at: datetime
) -> Iterator[Receipt]:
    person = _party(event, "sender")
    yield Receipt(
        kind=ReceiptKind.ANSWER,
        id=str(postback.get("mid") or f"postback:{person}:{event['timestamp']}"),
        at=at,
        address=person,
        text=str(postback.get("title") or ""),
        payload=str(postback.get("payload") or ""),
        writable_until=at + WINDOW,
    )


def _reaction(
    event: Mapping[str, Any], reaction: Mapping[str, Any], at: datetime
) -> Iterator[Receipt]:
    if reaction.get("action") != "react":
        return
    mid = str(reaction.get("mid") or "")
    yield Receipt(
        kind=ReceiptKind.ANSWER,
        id=f"reaction:{mid}:{event['timestamp']}",
        at=at,
        address=_party(event, "sender"),
        remote_id=mid,
        text=str(reaction.get("emoji") or ""),
        writable_until=at + WINDOW,
    )


def _referral(
    event: Mapping[str, Any], referral: Mapping[str, Any], at: datetime
) -> Iterator[Receipt]:
    """Somebody came in through an m.me link, which opens the window as a message does."""
    person = _party(event, "sender")
    yield Receipt(
        kind=ReceiptKind.MESSAGE,
        id=f"referral:{person}:{event['timestamp']}",
        at=at,
        address=person,
        payload=str(referral.get("ref") or ""),
        writable_until=at + WINDOW,
    )


def _delivery(
    event: Mapping[str, Any], delivery: Mapping[str, Any], at: datetime
) -> Iterator[Receipt]:
    person, up_to = _party(event, "sender"), _moment(delivery.get("watermark")) or at
    mids = delivery.get("mids")
    for mid in mids if isinstance(mids, list) else ():
        yield Receipt(
            kind=ReceiptKind.DELIVERED,
            id=f"delivered:{mid}",
            at=up_to,
            address=person,
            remote_id=str(mid),
        )
    if not mids:
        yield Receipt(
            kind=ReceiptKind.DELIVERED,
            id=f"delivered:{person}:{delivery.get('watermark')}",
            at=up_to,
            address=person,
        )


def _seen(event: Mapping[str, Any], read: Mapping[str, Any], at: datetime) -> Iterator[Receipt]:
    person = _party(event, "sender")
    yield Receipt(
        kind=ReceiptKind.READ,
        id=f"read:{person}:{read.get('watermark')}",
        at=_moment(read.get("watermark")) or at,
        address=person,
    )


_READERS = {
    "message": _message,
    "postback": _postback,
    "reaction": _reaction,
    "referral": _referral,
    "delivery": _delivery,
    "read": _seen,
}
