"""What went wrong with the database, in words for a person."""

from __future__ import annotations

from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError
from sqlalchemy.exc import IntegrityError as ConstraintError
from sqlalchemy.exc import SQLAlchemyError as StoreError

__all__ = ["ConstraintError", "StoreError", "explain"]  # the errors that floors above may catch


def explain(error: BaseException) -> str | None:
    """A sentence without credentials or SQL; None when the database is not what failed."""
    if isinstance(error, ArgumentError | NoSuchModuleError | ImportError):
        return "its URL is none that is understood (postgresql+asyncpg://user:password@host/name)"
    if isinstance(error, DBAPIError):
        return str(error.orig).removeprefix(f"{type(error.orig)}: ").splitlines()[0]
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return None
