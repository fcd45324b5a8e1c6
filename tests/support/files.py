"""Where tests keep their files: in memory where it has room. A disk that several test runs share
makes a database in ten times the time; what outlives a kill of a process, memory keeps as well."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

MEMORY = Path("/dev/shm")  # noqa: S108 -- the files are made by `tempfile`
_ENOUGH = 2 * 1024**3


def in_memory() -> bool:
    """This machine keeps files in memory and has room for ours; TMPDIR, where set, decides."""
    if "TMPDIR" in os.environ:
        return Path(os.environ["TMPDIR"]) == MEMORY
    return os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > _ENOUGH


def keep_in_memory() -> None:
    """From now on this process and those that it starts make temporary files there."""
    if in_memory():
        os.environ["TMPDIR"] = tempfile.tempdir = str(MEMORY)


def short() -> str:
    """A directory whose path leaves room for a socket's."""
    return str(MEMORY) if in_memory() else "/tmp"  # noqa: S108 -- as above
