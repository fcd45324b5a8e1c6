"""An account's limits are those of all workers together: its gaps, and its requests at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from sqlalchemy import select, update

from channels.sandbox.faults import Fault, FaultName
from channels.sandbox.server import PracticeServer
from scheduler.arming import SPREAD
from scheduler.decide import SECOND
from scheduler.settings import Settings
from scheduler.store.tables import accounts, attempts, deliveries
from tests.engine.conftest import PATIENCE, Engine, opened, unhurried

GAP_MS = 300


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return unhurried(settings)


async def _limit(engine: Engine, **limits: int) -> None:
    async with engine.services.database.write() as connection:
        await connection.execute(
            update(accounts)
            .where(accounts.c.id == engine.accounts["facebook"])
            .values(updated_at=accounts.c.updated_at + 1, **limits)
        )


async def _attempts(engine: Engine) -> Sequence[Any]:
    async with engine.services.database.read() as connection:
        return (await connection.execute(select(attempts))).all()


async def _until(met: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not met():  # noqa: ASYNC110 -- a practice platform, and a worker's count
            await asyncio.sleep(0.01)


def _spaced(began: int, rows: Sequence[Any]) -> None:
    """No two share a slot. A machine that stands still sends late, and then several at once."""
    sent = sorted(row.first_sent_at for row in rows)
    assert all(at >= began + n * GAP_MS * 1000 for n, at in enumerate(sent))


async def test_workers_keep_an_accounts_gaps_together(engine: Engine) -> None:
    await _limit(engine, gap_ms=GAP_MS)
    began = engine.services.clock.micros()
    async with engine.worker() as one:
        posts = [await engine.post("facebook", title=f"Post {number}") for number in range(4)]
        for post in posts:
            await engine.until(post, lambda rows: rows[0].attempt > 0)
        one.dispatcher._stopping = True  # it claims no more, and sends what it has
        async with engine.worker():
            posts += [await engine.post("facebook", title=f"Post {n}") for n in range(4, 8)]
            rows = [(await engine.settled(post, "delivered"))[0] for post in posts]
    _spaced(began, rows)
    assert len({row.worker for row in await _attempts(engine)}) == 2


async def test_slots_that_passed_while_nobody_was_there_are_spaced_anew(engine: Engine) -> None:
    await _limit(engine, gap_ms=GAP_MS)
    posts = [await engine.post("facebook", title=f"Post {n}") for n in range(6)]
    async with engine.services.database.write() as connection:
        long_ago = -60 * SECOND
        await connection.execute(
            update(deliveries).values(cause=SPREAD, due_at=deliveries.c.due_at + long_ago)
        )
    began = engine.services.clock.micros()
    async with engine.worker(), engine.worker():
        rows = [(await engine.settled(post, "delivered"))[0] for post in posts]
    _spaced(began, rows)


async def test_workers_share_an_accounts_requests_at_once(
    settings: Settings, practice: PracticeServer
) -> None:
    hang = Fault(FaultName.HANG)
    practice.platforms["facebook"].faults.add(hang)
    patient = settings.model_copy(update={"heartbeat_interval": 0.05, "grace": 0})
    async with opened(patient, practice) as engine:
        await _limit(engine, max_concurrent=4)
        async with engine.worker() as one, engine.worker() as two:
            firings = one.dispatcher.firing, two.dispatcher.firing
            await _until(lambda: all(each.dispatcher.sharing.workers == 2 for each in (one, two)))
            stuck = []
            for number in range(16):
                stuck.append(await engine.post("facebook", title=f"Post {number}"))
                await asyncio.sleep(0.03)
            for post in stuck:
                await engine.settled(post, "armed")
            await _until(lambda: hang.seen >= 2)
            elsewhere = await engine.post("linkedin")
            await engine.settled(elsewhere, "delivered")
            await _until(lambda: hang.seen == sum(firing.in_flight for firing in firings))
            assert hang.seen <= 4
