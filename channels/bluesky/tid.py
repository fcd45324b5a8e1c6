"""Record keys of our own: a TID made from the delivery's key, so that a resend is the same record.

A TID is 13 characters of sortable base 32: 53 bits of microseconds and 10 bits of a clock's id
(atproto.com/specs/tid).
"""

from __future__ import annotations

import hashlib
import uuid
from datetime import UTC, datetime

_ALPHABET = "234567abcdefghijklmnopqrstuvwxyz"
_EPOCH_US = int(datetime(2025, 1, 1, tzinfo=UTC).timestamp()) * 1_000_000
_YEAR_US = 365 * 86_400 * 1_000_000


def tid_of(key: str) -> str:
    """The same for the same key. A UUIDv7 keeps its time, so that records sort as they came."""
    digest = int.from_bytes(hashlib.sha256(key.encode()).digest()[:16])
    number = _microseconds(key, digest >> 10) << 10 | digest & 0x3FF
    return "".join(_ALPHABET[number >> shift & 31] for shift in range(60, -1, -5))


def _microseconds(key: str, digest: int) -> int:
    try:
        parsed = uuid.UUID(key)
    except ValueError:
        return _EPOCH_US + digest % _YEAR_US
    if parsed.version != 7:
        return _EPOCH_US + digest % _YEAR_US
    return (parsed.int >> 80) * 1000 + digest % 1000
