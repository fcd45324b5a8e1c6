"""HMAC-SHA-256 for whole audiences: the key is taken in once, not once a person."""

from __future__ import annotations

from functools import lru_cache
from hashlib import sha256
from typing import Any

_BLOCK = 64
_INNER, _OUTER = (bytes(byte ^ pad for byte in range(256)) for pad in (0x36, 0x5C))


def keyed_hash(key: bytes, said: bytes) -> bytes:
    """The HMAC of `said` (RFC 2104), 32 bytes. By hand: `hmac` takes twice as long to say it in
    Python, and a mailing asks three times a mail."""
    inner, outer = _started(key)
    inner, outer = inner.copy(), outer.copy()
    inner.update(said)
    outer.update(inner.digest())
    digest: bytes = outer.digest()
    return digest


@lru_cache(maxsize=4)
def _started(key: bytes) -> tuple[Any, Any]:
    block = (key if len(key) <= _BLOCK else sha256(key).digest()).ljust(_BLOCK, b"\0")
    return sha256(block.translate(_INNER)), sha256(block.translate(_OUTER))
