"""What went wrong with the database, in words for a person."""

from __future__ import annotations

import errno
import sqlite3

from sqlalchemy.exc import (
    ArgumentError,
    DBAPIError,
    InterfaceError,
    NoSuchModuleError,
    OperationalError,
)
from sqlalchemy.exc import IntegrityError as ConstraintError
from sqlalchemy.exc import SQLAlchemyError as StoreError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

# The errors that floors above may catch, and what they may ask of any.
__all__ = ["ArchivedError", "ConstraintError", "StoreError", "away", "explain", "full", "passing"]

# PostgreSQL's classes: connection, resources, an operator's intervention, the system's own errors.
_AWAY = ("08", "53", "57", "58")
# A deadlock, a lock that was not to be had, a server that takes no writes just now.
_BUSY = ("25", "40", "55")
_DISK_FULL = "53100"
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})
_SQLITE_FULL = "SQLITE_FULL"
_SQLITE_WRONG = "SQLITE_ERROR"  # a wrong statement, or a schema that is not this release's


class ArchivedError(Exception):
    """An account was archived before a delivery could be added to it: plan again without it."""


def explain(error: BaseException) -> str | None:
    """A sentence without credentials or SQL; None when the database is not what failed."""
    if isinstance(error, ArgumentError | NoSuchModuleError | ImportError):
        return "its URL is none that is understood (postgresql+asyncpg://user:password@host/name)"
    if isinstance(error, DBAPIError):
        return str(error.orig).removeprefix(f"{type(error.orig)}: ").splitlines()[0]
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return None


def full(error: BaseException) -> bool:
    """Whether there was no room left on the disk, of the database or of our own files."""
    if isinstance(error, OSError):
        return error.errno in _NO_ROOM
    return _code(error) == _DISK_FULL or _sqlite_code(error) == _SQLITE_FULL


def away(error: BaseException) -> bool:
    """Whether the database does not answer, or cannot, just now: the same may well succeed
    later. A statement that it refuses is not that."""
    if isinstance(error, OperationalError | InterfaceError | PoolTimeoutError):
        return _sqlite_code(error) != _SQLITE_WRONG
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return True
    # Its socket refuses us, or is not there (a file that is missing would be named).
    if isinstance(error, ConnectionRefusedError | ConnectionResetError):
        return True
    if isinstance(error, FileNotFoundError) and error.filename is None:
        return True
    return full(error) or _code(error).startswith(_AWAY)


def passing(error: BaseException) -> bool:
    """Whether the same write may well be taken later, as it is: nothing is wrong with what was to
    be written. More than `away`: others may be in the way, too."""
    if isinstance(getattr(error, "orig", error), sqlite3.InterfaceError):
        return False  # a value that SQLite has no form for
    if isinstance(error, OSError | MemoryError) or away(error):
        return True
    return _code(error).startswith(_BUSY)


def _code(error: BaseException) -> str:
    """PostgreSQL's, of the driver's error or of one that wraps it."""
    return str(getattr(getattr(error, "orig", error), "sqlstate", None) or "")


def _sqlite_code(error: BaseException) -> str:
    return str(getattr(getattr(error, "orig", error), "sqlite_errorname", ""))
