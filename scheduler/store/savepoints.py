"""Writes of which some may be refused, within one transaction."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

from scheduler.store.db import Connection
from scheduler.store.faults import explain, passing

log = structlog.get_logger()

T = TypeVar("T")


async def first_taken(connection: Connection, *writes: Callable[[], Awaitable[T]]) -> T | None:
    """What the first of these says that the database does not refuse, each in a savepoint; None
    when it refuses all. Errors: those that pass by themselves, with which the transaction ends."""
    for write in writes:
        try:
            async with connection.begin_nested():
                return await write()
        except Exception as error:
            if passing(error):
                raise
            log.warning("write.refused", error=type(error).__name__, said=explain(error))
    return None
