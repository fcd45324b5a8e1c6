"""HMAC-SHA-256 for whole audiences: the key is taken in once, not once a person."""

from __future__ import annotations

import hmac
from functools import lru_cache


def keyed_hash(key: bytes, said: bytes) -> bytes:
    """The HMAC of `said`, 32 bytes."""
    started = _started(key).copy()
    started.update(said)
    return started.digest()


@lru_cache(maxsize=4)
def _started(key: bytes) -> hmac.HMAC:
    return hmac.new(key, digestmod="sha256")
