"""A run's logbook: a line before each mail leaves, a line after each answer, in a local file.

Recipients are claimed from SQL in chunks and settled in batches; the logbook keeps the doubt after
a kill to the mails that were under way. Like the worker's journal, it outlives the process but
proves nothing after another boot.
"""

from __future__ import annotations

import fcntl
import os
from dataclasses import dataclass
from pathlib import Path

from scheduler.journal import boot_id


class Logbook:
    """Append-only; locked while its run lives."""

    def __init__(self, directory: Path, delivery_id: str, token: str) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._path = path_of(directory, delivery_id, token)
        self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.write(self._file, f"{boot_id()}\n".encode())
        self._answers = ""

    def leaving(self, contact_id: str) -> None:
        """Call before the first byte leaves; writes the answers that wait, too."""
        os.write(self._file, f"{self._answers}> {contact_id}\n".encode())
        self._answers = ""

    def answered(self, contact_id: str, state: str, code: str) -> None:
        """Call when the answer is known, and `flush` before anything is awaited: the next mail
        mostly leaves at once, and one write then serves both."""
        self._answers += f"< {contact_id} {state} {code}\n"

    def flush(self) -> None:
        if self._answers:
            os.write(self._file, self._answers.encode())
            self._answers = ""

    def close(self, *, settled: bool) -> None:
        """`settled`: SQL knows all of it, nothing is left to prove."""
        self.flush()
        if settled:
            self._path.unlink(missing_ok=True)
        os.close(self._file)


@dataclass(frozen=True, slots=True)
class Trace:
    """What a run's logbook proves. Without proof every mail it had claimed is in doubt."""

    proves: bool
    left: frozenset[str] = frozenset()
    answers: tuple[tuple[str, str, str], ...] = ()


def path_of(directory: Path, delivery_id: str, token: str) -> Path:
    return directory / f"{delivery_id}.{token}.mails"


def trace_of(directory: Path, delivery_id: str, token: str) -> Trace:
    """Read the logbook of a run that is over; one that still lives proves nothing."""
    try:
        with path_of(directory, delivery_id, token).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            boot, _, lines = file.read().decode("utf-8", "replace").partition("\n")
    except (FileNotFoundError, BlockingIOError):
        return Trace(proves=False)
    if not boot or boot != boot_id():
        return Trace(proves=False)
    left: set[str] = set()
    answers: list[tuple[str, str, str]] = []
    for line in lines.split("\n"):
        mark, _, rest = line.partition(" ")
        contact_id, _, said = rest.partition(" ")
        if mark == ">":
            left.add(contact_id)
        elif mark == "<":
            state, _, code = said.partition(" ")
            left.discard(contact_id)
            answers.append((contact_id, state, code))
    return Trace(proves=True, left=frozenset(left), answers=tuple(answers))


def forget(directory: Path, delivery_id: str, token: str) -> None:
    """Remove the logbook of a run whose every recipient is settled in SQL."""
    path_of(directory, delivery_id, token).unlink(missing_ok=True)
