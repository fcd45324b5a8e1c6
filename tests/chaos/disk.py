"""A small file system for the data directory, to be filled and freed.

`Disk.small` is False where this machine does not let us mount one: then nothing is filled, and the
report says so.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

SIZE = "96m"
_STEPS = (1 << 20, 4096)


@dataclass(frozen=True)
class Disk:
    """`path`: the data directory."""

    path: Path
    small: bool

    def fill(self) -> None:
        """Leave no room at all."""
        with self._filler.open("ab") as filler:
            for step in _STEPS:
                try:
                    while True:
                        os.write(filler.fileno(), b"\0" * step)
                except OSError:
                    continue

    def free(self) -> None:
        """Give the room back."""
        self._filler.unlink(missing_ok=True)

    @property
    def _filler(self) -> Path:
        return self.path / "filler"


@contextmanager
def disk(path: Path) -> Iterator[Disk]:
    """The data directory, on a file system of its own if that may be mounted."""
    path.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE},mode=0700", "tmpfs", str(path)]
    small = os.geteuid() == 0 and _done(command)
    try:
        yield Disk(path, small)
    finally:
        if small:
            _done(["umount", "--lazy", str(path)])


def _done(command: list[str]) -> bool:
    try:
        return subprocess.run(command, check=False, capture_output=True).returncode == 0
    except OSError:
        return False
