"""What the providers' words have in common."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from channels.receipts import Receipt, ReceiptKind

NO_SUCH_ADDRESS = "5.1.1"
FULL = "5.2.2"
TOO_LARGE = "5.3.4"
GAVE_UP = "4.4.7"
UNWANTED_CONTENT = "5.6.0"
UNWANTED = "5.7.1"

_STATUS = re.compile(r"\b([245]\.\d{1,3}\.\d{1,3})\b")
# What the reader's mailbox has no part in, whatever the provider makes of it.
_OURS = ("5.7.", "5.6.", "5.3.4")


def status_in(words: str) -> str:
    """The first enhanced status in a server's words; empty when there is none."""
    found = _STATUS.search(words)
    return "" if found is None else found[1]


def hard(words: str) -> str:
    """The status of what a provider calls a hard bounce: the server's own only where it speaks of
    us, as many servers give a general one to an address that does not exist."""
    status = status_in(words)
    return status if status.startswith(_OURS) else NO_SUCH_ADDRESS


def soft(words: str) -> str:
    """The status of what a provider calls a soft bounce, and has given up."""
    return status_in(words) or GAVE_UP


def failed(
    event_id: str, at: datetime, address: str, status: str, words: str, *, about: str = ""
) -> Receipt:
    """`about`: the mail's Message-ID, where the provider tells it."""
    return Receipt(
        kind=ReceiptKind.FAILED, id=event_id, at=at, address=address, status=status,
        text=" ".join(words.split())[:300], remote_id=about or None,
    )  # fmt: skip


def complained(
    event_id: str, at: datetime, address: str, words: str = "", *, about: str = ""
) -> Receipt:
    """As `failed`."""
    return Receipt(
        kind=ReceiptKind.COMPLAINED, id=event_id, at=at, address=address, text=words[:300],
        remote_id=about or None,
    )  # fmt: skip


def arrived(event_id: str, at: datetime, address: str, *, about: str = "") -> Receipt:
    """As `failed`: the reader's server took it."""
    return Receipt(
        kind=ReceiptKind.ARRIVED, id=event_id, at=at, address=address, remote_id=about or None
    )


def left(event_id: str, at: datetime, address: str) -> Receipt:
    """They unsubscribed at the provider, which writes to them no more whatever we do."""
    return Receipt(kind=ReceiptKind.REFUSED, id=event_id, at=at, address=address)


def at(seconds: object) -> datetime:
    """A moment in seconds since 1970; now, for what is none."""
    if isinstance(seconds, int | float) and 0 < seconds < 32_503_680_000:
        return datetime.fromtimestamp(seconds, UTC)
    return datetime.now(UTC)


def an_object(raw: bytes) -> Mapping[str, Any]:
    """The JSON object of a body; an empty one when it is none."""
    return mapping(_parsed(raw))


def objects(raw: bytes) -> list[Mapping[str, Any]]:
    """The JSON objects of a body that holds one or several."""
    found = _parsed(raw)
    return [mapping(one) for one in (found if isinstance(found, list) else [found])]


def mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def text(value: object) -> str:
    """A string that can be encoded and stored; empty for anything else."""
    if not isinstance(value, str):
        return ""
    return value.encode("utf-8", "replace").decode().replace("\0", "")


def _parsed(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        return None
