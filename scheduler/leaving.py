"""A worker that is told to stop tells its mailings: they take no more readers, let the mails under
way finish, and are everyone's again."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar

import structlog

from scheduler.clock import Clock
from scheduler.deliveries import Delivery
from scheduler.store.completions import give_back
from scheduler.store.db import Database

log = structlog.get_logger()

# Of the send whose task this is: set once its worker stops. Whoever dispatches the send sets it.
LEAVING: ContextVar[asyncio.Event | None] = ContextVar("leaving", default=None)


async def let_go(database: Database, clock: Clock, delivery: Delivery) -> None:
    """Another worker may go on with this broadcast at once, instead of when its lease ends."""
    assert delivery.token is not None  # it was claimed
    try:
        async with database.write() as connection:
            await give_back(connection, delivery.id, delivery.token, now=clock.micros())
    except Exception:  # the lease ends by itself
        log.exception("broadcast.not-given-back", delivery=delivery.id)
