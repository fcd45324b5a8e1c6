"""Links that belong to one person: opaque, signed, and good for as long as mails are kept.

The key outlives the rotation of the vault's keys: a link in an old mail has to unsubscribe, and a
suppressed address has to stay so.
"""

from __future__ import annotations

import hmac
import os
import secrets
from base64 import urlsafe_b64decode
from binascii import b2a_base64
from pathlib import Path

from scheduler.audience.keyed import keyed_hash

_SIGNATURE = 16
_URL_SAFE = bytes.maketrans(b"+/", b"-_")


def audience_key(configured: str, data_dir: Path) -> bytes:
    """The setting, or the key of `data_dir/audience.key`, made on first use (0600)."""
    if configured:
        return configured.encode()
    path = data_dir / "audience.key"
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_bytes().strip()
    with os.fdopen(descriptor, "wb") as file:
        file.write(secrets.token_urlsafe(32).encode())
        file.flush()
        os.fsync(file.fileno())
    return path.read_bytes().strip()


def seal(key: bytes, purpose: str, *words: str) -> str:
    """An opaque token that says `words` (none holds a space) and opens for this purpose alone."""
    said = " ".join(words).encode()
    sealed = b2a_base64(_signature(key, purpose, said) + said, newline=False)
    return sealed.translate(_URL_SAFE).rstrip(b"=").decode()


def unseal(key: bytes, purpose: str, token: str) -> tuple[str, ...] | None:
    """The words of a token, None if we did not make it for this purpose."""
    try:
        data = urlsafe_b64decode(token.encode() + b"=" * (-len(token) % 4))
        signature, said = data[:_SIGNATURE], data[_SIGNATURE:]
        if not hmac.compare_digest(signature, _signature(key, purpose, said)):
            return None
        return tuple(said.decode().split(" "))
    except ValueError:
        return None


def _signature(key: bytes, purpose: str, said: bytes) -> bytes:
    return keyed_hash(key, f"{purpose} ".encode() + said)[:_SIGNATURE]


class UnsubscribeLinks:
    """Makes and reads `{public_url}/u/{token}`; a token names a contact and a list."""

    def __init__(self, public_url: str, key: bytes) -> None:
        self._base = f"{public_url}/u/"
        self._key = key

    def link(self, contact_id: str, list_id: str) -> str:
        return self._base + seal(self._key, "unsubscribe", contact_id, list_id)

    def read(self, token: str) -> tuple[str, str] | None:
        """The contact and the list that a token names, None if we did not make it."""
        named = unseal(self._key, "unsubscribe", token)
        return None if named is None or len(named) != 2 else (named[0], named[1])
