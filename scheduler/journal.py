"""A worker's journal of what really left, and of what then was delivered, in a local file.

After a kill it keeps the doubt to what was in flight: an armed delivery that the journal does not
name was certainly not sent, and one that it calls delivered needs no look, however far the
database was behind. A line is one `write` to the page cache, which outlives the process
but not the machine's power; the file therefore names the boot it belongs to and proves nothing
after another one.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

_COMPACT_AT = 1024 * 1024


class Answered(NamedTuple):
    """What the platform said of a delivery; moments are microseconds since 1970."""

    remote_id: str
    url: str | None
    note: str
    started_at: int
    finished_at: int


def boot_id() -> str:
    """This boot's id, empty where the system does not tell (then no journal proves anything)."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def _mark(delivery_id: str, attempt: int) -> bytes:
    return f"{delivery_id} {attempt}\n".encode()


def _write(descriptor: int, data: bytes) -> None:
    """All of it. Error: OSError when only a part found room."""
    if os.write(descriptor, data) < len(data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class Journal:
    """Append-only; locked while its worker lives, so that a successor can tell."""

    def __init__(self, directory: Path, worker: str) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._path = directory / f"{worker}.sent"
        self._flying: dict[bytes, bytes] = {}
        self._file, self._size = self._begun()
        self._compact_at = _COMPACT_AT

    def _begun(self) -> tuple[int, int]:
        """A new file with what is under way, in place and locked: (descriptor, size). It gets
        its name last, so that nobody takes it for a dead worker's before it is locked."""
        fresh = self._path.with_suffix(".new")
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            content = b"".join([f"{boot_id()}\n".encode(), *self._flying.values()])
            _write(descriptor, content)
            fresh.replace(self._path)
        except OSError:
            os.close(descriptor)
            fresh.unlink(missing_ok=True)
            raise
        return descriptor, len(content)

    def sending(self, delivery_id: str, attempt: int) -> None:
        """Call before the first byte leaves. Error: OSError when it cannot be noted (a full
        disk); then nothing may leave."""
        mark = _mark(delivery_id, attempt)
        try:
            _write(self._file, mark)
        except OSError:
            os.ftruncate(self._file, self._size)  # half a line would spoil the next one
            raise
        self._size += len(mark)
        self._flying[mark] = mark

    def delivered(self, delivery_id: str, attempt: int, answer: Answered) -> None:
        """Call once the platform has said so, before anything is committed. Where there is no
        room to note it, the doubt stays."""
        mark = _mark(delivery_id, attempt)
        line = b"%b %b\n" % (mark[:-1], json.dumps(answer).encode())
        try:
            _write(self._file, line)
        except OSError:
            os.ftruncate(self._file, self._size)
            return
        self._size += len(line)
        self._flying[mark] = line

    def settled(self, delivery_id: str, attempt: int) -> None:
        """Call once the outcome is committed."""
        self._flying.pop(_mark(delivery_id, attempt), None)
        if self._size > self._compact_at:
            self._compact()

    def _compact(self) -> None:
        old = self._file
        try:
            self._file, self._size = self._begun()
        except OSError:  # no room for a second file: the old one goes on
            self._compact_at = self._size + _COMPACT_AT
            return
        self._compact_at = _COMPACT_AT
        os.close(old)

    @property
    def in_doubt(self) -> bool:
        """Whether something left whose outcome is not committed."""
        return bool(self._flying)

    def abandon(self) -> None:
        """Leave the file for a successor: something is still in doubt."""
        os.close(self._file)

    def close(self) -> None:
        """Leave in good order: nothing of this worker is in doubt any more."""
        os.close(self._file)
        self._path.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class Left:
    """A dead worker's journal. `proves`: it was written during this boot, so that what it does
    not name was not sent. `sent`: attempts by (delivery, number); `delivered`: of those, what the
    platform said."""

    worker: str
    proves: bool
    sent: frozenset[tuple[str, int]]
    delivered: Mapping[tuple[str, int], Answered]
    path: Path


def _left_in(path: Path) -> bytes | None:
    """What a dead worker's journal says; None when its worker lives, or another one has dealt with
    it by now."""
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # A living worker may have begun a new file since we opened this one.
            if not os.path.samestat(os.fstat(file.fileno()), path.stat()):
                return None
            return file.read()
    except (BlockingIOError, FileNotFoundError):
        return None


def left_behind(directory: Path) -> Iterator[Left]:
    """The journals of workers that are no longer alive on this machine."""
    for path in sorted(directory.glob("*.sent")) if directory.is_dir() else ():
        content = _left_in(path)
        if content is None:
            continue
        boot, _, marks = content.decode("ascii", "replace").partition("\n")
        sent = set()
        delivered = {}
        for line in marks.splitlines():
            delivery_id, attempt, answer = (*line.split(" ", 2), "", "")[:3]
            if not attempt.isdigit():
                continue
            sent.add((delivery_id, int(attempt)))
            if answer:
                with suppress(ValueError, TypeError):  # cut off by the kill: in doubt
                    delivered[delivery_id, int(attempt)] = Answered(*json.loads(answer))
        proves = bool(boot) and boot == boot_id()
        yield Left(path.stem, proves, frozenset(sent), delivered, path)
