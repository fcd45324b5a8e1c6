"""What outcomes say of an account, written while others write the same row."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sqlalchemy import insert, select, text

from channels.outcome import HealthStatus
from scheduler.limits import FOREVER, AccountSign, Sign
from scheduler.plan import BY_HAND
from scheduler.store.accounts import pause
from scheduler.store.db import Database
from scheduler.store.roster import apply_signs
from scheduler.store.tables import accounts

THROTTLED = AccountSign(
    sign=Sign.THROTTLED, paused_until=100, status=HealthStatus.THROTTLED, reason="throttled"
)
WELL = AccountSign(sign=Sign.WELL, failures=0, status=HealthStatus.HEALTHY)


async def connected(database: Database, **columns: Any) -> None:
    row = {
        "id": "page", "adapter": "facebook", "channel": "facebook", "name": "Our page",
        "settings": {}, "status": HealthStatus.HEALTHY, "status_since": 1, "policy": {},
        "created_at": 1, "updated_at": 1,
    }  # fmt: skip
    async with database.write() as connection:
        await connection.execute(insert(accounts), row | columns)


async def standing(database: Database) -> Any:
    async with database.read() as connection:
        return (await connection.execute(select(accounts))).one()


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_a_sign_does_not_shorten_a_pause_that_a_person_sets_at_that_moment(
    database: Database,
) -> None:
    """SQLite has one writer at a time; on PostgreSQL the two meet at the row."""
    await connected(database)

    async def throttled() -> None:
        async with database.write() as connection:
            await apply_signs(connection, {"page": THROTTLED}, 2)

    async with database.write() as connection:
        await pause(connection, "page", None, 2)
        other = asyncio.create_task(throttled())
        waits = text("SELECT 1 FROM pg_locks WHERE NOT granted")
        async with database.read() as looking, asyncio.timeout(60):
            while (await looking.execute(waits)).first() is None:  # noqa: ASYNC110 -- no event
                await asyncio.sleep(0.01)
    await other
    row = await standing(database)
    assert (row.paused_until, row.pause_reason) == (FOREVER, BY_HAND)


async def test_a_success_that_comes_late_does_not_deny_that_access_was_lost(
    database: Database,
) -> None:
    await connected(
        database, status=HealthStatus.ACCESS_LOST, status_reason="token", paused_until=FOREVER,
        pause_reason="token",
    )  # fmt: skip
    async with database.write() as connection:
        changed = await apply_signs(connection, {"page": WELL}, 2)
    row = await standing(database)
    assert (row.status, row.paused_until, changed) == (HealthStatus.ACCESS_LOST, FOREVER, [])


@pytest.mark.parametrize("status", [HealthStatus.ACCESS_LOST, HealthStatus.VANISHED])
async def test_a_throttle_that_comes_late_does_not_hide_what_was_found(
    database: Database, status: HealthStatus
) -> None:
    await connected(
        database, status=status, status_reason="token", paused_until=FOREVER, pause_reason="token"
    )
    async with database.write() as connection:
        changed = await apply_signs(connection, {"page": THROTTLED}, 2)
    row = await standing(database)
    assert (row.status, row.status_reason, row.paused_until) == (status, "token", FOREVER)
    assert changed == []


async def test_a_success_ends_what_passes(database: Database) -> None:
    await connected(database, status=HealthStatus.PLATFORM_DOWN, failures=7)
    async with database.write() as connection:
        changed = await apply_signs(connection, {"page": WELL}, 2)
    row = await standing(database)
    assert (row.status, row.failures, changed) == (HealthStatus.HEALTHY, 0, ["page"])
