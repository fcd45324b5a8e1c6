"""Credentials at rest: encrypted with Fernet, keys rotated by putting a new one first."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet


class VaultError(Exception):
    """The keys at hand do not open a stored secret; the message says what to do."""


class Vault:
    """Encrypts small JSON objects. The first key encrypts, every key decrypts."""

    def __init__(self, keys: Sequence[str]) -> None:
        if not keys:
            raise VaultError("no secret key: set ESTAFETTE_SECRET_KEYS")
        try:
            self._fernet = MultiFernet([Fernet(key) for key in keys])
        except ValueError as error:
            raise VaultError(
                "ESTAFETTE_SECRET_KEYS holds something that is no Fernet key (32 bytes, base64)"
            ) from error

    def seal(self, secrets: Mapping[str, Any]) -> bytes:
        """`secrets`: JSON values by name."""
        return self._fernet.encrypt(json.dumps(secrets).encode())

    def open(self, sealed: bytes | None) -> dict[str, Any]:
        """Error: VaultError when no key fits."""
        if sealed is None:
            return {}
        try:
            opened: dict[str, Any] = json.loads(self._fernet.decrypt(sealed))
        except InvalidToken as error:
            raise VaultError(
                "stored credentials were sealed with another key: put the old key back after the"
                " new one in ESTAFETTE_SECRET_KEYS"
            ) from error
        return opened

    def rotate(self, sealed: bytes) -> bytes:
        """The same secrets under the first key."""
        return self._fernet.rotate(sealed)


def key_file_keys(data_dir: Path) -> list[str]:
    """The keys of `data_dir/secret.keys`, one a line, newest first; made on first use (0600)."""
    path = data_dir / "secret.keys"
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        pass
    else:
        with os.fdopen(descriptor, "wb") as file:
            file.write(Fernet.generate_key() + b"\n")
            file.flush()
            os.fsync(file.fileno())
    return path.read_text().split()
