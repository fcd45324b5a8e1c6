"""One copy per data directory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from filelock import FileLock, Timeout

from scheduler.cli.exits import CommandError
from scheduler.settings import Settings


@contextmanager
def only_copy(settings: Settings) -> Iterator[None]:
    """Hold the data directory. Error: CommandError when another process does."""
    lock = FileLock(settings.data_dir / "run.lock", blocking=False)
    try:
        lock.acquire()
    except Timeout as error:
        raise CommandError(
            f"another Estafette runs on {settings.data_dir.absolute()}: stop it, or set"
            " ESTAFETTE_DATA_DIR to another directory"
        ) from error
    try:
        yield
    finally:
        lock.release()
