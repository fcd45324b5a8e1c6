"""Encrypted copies of the audience, in the age format (age-encryption.org): gzipped JSON lines
inside, so that `age -d copy.age | gunzip` reads one without us.

A first line names the copy and holds the audience's key, without which the never-again list bars
nobody; then a line a row; the last line counts them.
"""

from __future__ import annotations

import asyncio
import gzip
import io
import json
import os
import zlib
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

import pyrage
from pyrage import passphrase, ssh, x25519

from scheduler import __version__
from scheduler.store import copies
from scheduler.store.db import Database

KIND: Final = "estafette-audience"
_BLOCK = 1 << 18
_FAULTS = (pyrage.RecipientError, pyrage.IdentityError, pyrage.EncryptError, pyrage.DecryptError)


class SealError(ValueError):
    """It cannot be locked or opened; the message says why and holds no secret."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lock:
    """Who can open a copy: owners of these recipients (`age1…`, `ssh-ed25519 …`), or whoever
    knows the words. With words the whole copy is held in memory: age's streams take keys only."""

    recipients: tuple[str, ...] = ()
    words: str = ""

    def ready(self) -> None:
        """Error: SealError when nothing could be locked with it."""
        if bool(self.recipients) == bool(self.words):
            raise SealError("a copy needs either recipients or a passphrase")
        self.keys()

    def keys(self) -> list[Any]:
        return [_recipient(one) for one in self.recipients]


def _recipient(text: str) -> Any:
    try:
        return (ssh if text.startswith("ssh-") else x25519).Recipient.from_str(text)
    except _FAULTS as error:
        raise SealError(f"{text[:12]}… is no age recipient (age1…) and no SSH key") from error


async def write(database: Database, key: bytes, lock: Lock, path: Path) -> dict[str, int]:
    """A new encrypted copy at `path` (0600), on disk when it returns; how many rows of each kind.
    Errors: SealError, OSError."""
    lock.ready()
    receiving, sending = os.pipe()
    counts: dict[str, int] = {}
    # The file first: a directory that is gone is said before anything is read.
    try:
        out = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")
    except OSError:
        os.close(receiving)
        os.close(sending)
        raise
    locking = asyncio.create_task(asyncio.to_thread(_lock, receiving, out, lock))
    try:
        with os.fdopen(sending, "wb", buffering=0) as pipe:
            packer = zlib.compressobj(6, zlib.DEFLATED, 31)
            waiting = bytearray()
            async for line in _lines(database, key, counts):
                waiting += packer.compress(line)
                if len(waiting) >= _BLOCK:
                    await asyncio.to_thread(pipe.write, bytes(waiting))
                    waiting.clear()
            await asyncio.to_thread(_write_all, pipe, bytes(waiting) + packer.flush())
    except BrokenPipeError:
        pass  # the other end failed, and says why
    finally:
        await locking
    return counts


def _write_all(pipe: io.FileIO, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[pipe.write(view) :]


async def _lines(database: Database, key: bytes, counts: dict[str, int]) -> AsyncIterator[bytes]:
    yield _line({"copy": KIND, "estafette": __version__, "audience_key": key.decode("latin-1")})
    for name in copies.TABLES:
        counts[name] = 0
        async for some in copies.rows(database, name):
            counts[name] += len(some)
            yield b"".join(_line({"table": name, "row": row}) for row in some)
    yield _line({"end": counts})


def _line(said: Mapping[str, Any]) -> bytes:
    return json.dumps(said, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def _lock(receiving: int, out: BinaryIO, lock: Lock) -> None:
    with os.fdopen(receiving, "rb") as plain, out:
        try:
            if lock.words:
                out.write(passphrase.encrypt(plain.read(), lock.words))
            else:
                pyrage.encrypt_io(plain, out, lock.keys())
        except _FAULTS as error:
            raise SealError(f"the copy could not be encrypted: {error}") from error
        out.flush()
        os.fsync(out.fileno())


def read(path: Path, plain: BinaryIO, *, identities: str = "", words: str = "") -> None:
    """Decrypt a copy into `plain`, still gzipped. `identities`: an age key file's text, or an
    SSH private key. Errors: SealError, OSError."""
    try:
        if words:
            plain.write(passphrase.decrypt(path.read_bytes(), words))
            return
        with path.open("rb") as sealed:
            pyrage.decrypt_io(cast("Any", sealed), cast("Any", plain), _identities(identities))
    except _FAULTS as error:
        raise SealError(f"{path.name} does not open: {error}") from error
    except OSError as error:
        if error.errno is not None:
            raise
        raise SealError(f"{path.name} does not open: it is damaged ({error})") from error


def _identities(text: str) -> list[Any]:
    if "PRIVATE KEY" in text:
        return [ssh.Identity.from_buffer(text.encode())]
    lines = [line.strip() for line in text.splitlines()]
    found = [x25519.Identity.from_str(line) for line in lines if line and not line.startswith("#")]
    if not found:
        raise SealError("there is no key in the identity file (AGE-SECRET-KEY-…)")
    return found


def lines_of(plain: BinaryIO) -> Iterator[dict[str, Any]]:
    """The lines of a decrypted copy. Error: SealError for what is none, or is cut off."""
    try:
        with gzip.open(plain) as text:
            for line in text:
                yield json.loads(line)
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise SealError(f"this is no copy of an audience, or it is damaged: {error}") from error
