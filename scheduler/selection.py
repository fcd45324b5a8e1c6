"""Choosing who gets a broadcast, without keeping the other deliveries waiting."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from channels.outcome import Outcome
from scheduler.clerk import Clerk
from scheduler.clock import Clock
from scheduler.deliveries import Delivery
from scheduler.store.choosing import choose, count
from scheduler.store.recipients import hold_post

# Seconds. Who waits for SQLite's lock looks now and then whether it is free; from some waiting on
# at least once in half the time that they have waited.
HELD_AT_MOST, LONGEST_REST = 0.05, 0.1


async def choose_all(
    clerk: Clerk,
    clock: Clock,
    delivery: Delivery,
    *,
    account_id: str,
    by_email: bool,
    at_once: int,
    told: Callable[[], Outcome | None] = lambda: None,
    rest: Callable[[float], Awaitable[object]] = asyncio.sleep,
) -> Outcome | None:
    """Choose everyone, `at_once` in a transaction and others' between some of them, going on where
    an earlier run stopped; why the run has to end, None when everyone is chosen. `told`: why it
    has to by its worker."""
    database = clerk.database
    held, steps = 0.0, 0
    while True:
        steps += 1
        async with database.write() as connection:
            began = time.monotonic()
            now = clock.micros()
            await hold_post(database, connection, delivery.post_id)
            stop = told() or await clerk.stop(connection, now)
            if stop is not None:
                return stop
            if await choose(
                database,
                connection,
                delivery_id=delivery.id,
                account_id=account_id,
                by_email=by_email,
                now=now,
                at_once=at_once,
            ):
                break
        held += time.monotonic() - began
        if held < HELD_AT_MOST:
            await rest(0.0)
            continue
        await rest(min(held / 2, LONGEST_REST))
        held = 0.0
    if steps > 1:
        await count(database)
    return None
