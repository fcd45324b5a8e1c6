"""A run's logbook: a line before each mail leaves, a line after each answer, in a local file.

Recipients are claimed from SQL in chunks and settled in batches; the logbook keeps the doubt after
a kill to the mails that were under way. Like the worker's journal, it outlives the process but
proves nothing after another boot. It is written through a mapped window: what is stored there
survives the process without a system call for each line.
"""

from __future__ import annotations

import fcntl
import mmap
import os
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from scheduler.journal import boot_id

WINDOW = 64 * mmap.ALLOCATIONGRANULARITY
_ROOM = WINDOW - mmap.ALLOCATIONGRANULARITY


class Logbook:
    """Append-only; locked while its run lives."""

    def __init__(self, directory: Path, delivery_id: str, token: str) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._path = path_of(directory, delivery_id, token)
        self._file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(self._file, 0)
        self._start = self._at = 0
        self._window = self._mapped()
        self._write(f"{boot_id()}\n".encode())

    def leaving(self, contact_id: str) -> None:
        """Call before the first byte leaves."""
        self._write(b"> %b\n" % contact_id.encode())

    def answered(self, contact_id: str, state: str, code: str) -> None:
        """Call when the answer is known."""
        self._write(f"< {contact_id} {state} {code}\n".encode())

    def close(self, *, settled: bool) -> None:
        """`settled`: SQL knows all of it, nothing is left to prove."""
        self._window.close()
        if settled:
            self._path.unlink(missing_ok=True)
        os.close(self._file)

    def _write(self, line: bytes) -> None:
        at, end = self._at, self._at + len(line)
        if end > _ROOM:
            self._turn_page()
            at, end = self._at, self._at + len(line)
        # The line feed last: a kill in between leaves a line without its end, which says nothing.
        self._window[at : end - 1] = line[:-1]
        self._window[end - 1] = 10
        self._at = end

    def _turn_page(self) -> None:
        whole = self._at - self._at % mmap.ALLOCATIONGRANULARITY
        self._window.close()
        self._start += whole
        self._at -= whole
        self._window = self._mapped()

    def _mapped(self) -> mmap.mmap:
        # Written, not only made longer: a full disk is an error here, and a signal in a mapping.
        written = os.fstat(self._file).st_size
        missing = self._start + WINDOW - written
        while missing > 0:
            done = os.pwrite(self._file, bytes(missing), written)
            written, missing = written + done, missing - done
        return mmap.mmap(self._file, WINDOW, offset=self._start)


@dataclass(frozen=True, slots=True)
class Trace:
    """What a run's logbook proves. Without proof every mail it had claimed is in doubt."""

    proves: bool
    left: frozenset[str] = frozenset()
    answers: tuple[tuple[str, str, str], ...] = ()


def path_of(directory: Path, delivery_id: str, token: str) -> Path:
    return directory / f"{delivery_id}.{token}.mails"


def trace_of(directory: Path, delivery_id: str, token: str, among: Collection[str]) -> Trace:
    """Read what the logbook of a run that is over says of these contacts; one that still lives
    proves nothing."""
    left: set[str] = set()
    answers: dict[str, tuple[str, str]] = {}
    wanted = frozenset(among)
    try:
        with path_of(directory, delivery_id, token).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            boot = file.readline()
            if not boot.endswith(b"\n") or boot.decode("utf-8", "replace").strip() != boot_id():
                return Trace(proves=False)
            for line in file:
                if not line.endswith(b"\n"):
                    break
                mark, _, rest = line[:-1].decode("utf-8", "replace").partition(" ")
                contact_id, _, said = rest.partition(" ")
                if contact_id not in wanted:
                    continue
                if mark == ">":
                    left.add(contact_id)
                else:
                    state, _, code = said.partition(" ")
                    left.discard(contact_id)
                    answers[contact_id] = state, code
    except (FileNotFoundError, BlockingIOError):
        return Trace(proves=False)
    found = tuple((who, state, code) for who, (state, code) in answers.items())
    return Trace(proves=True, left=frozenset(left), answers=found)


def forget(directory: Path, delivery_id: str, token: str) -> None:
    """Remove the logbook of a run whose every recipient is settled in SQL."""
    path_of(directory, delivery_id, token).unlink(missing_ok=True)
