"""How long a killed worker's deliveries wait: a lease is no longer than it says."""

import asyncio

import pytest

from channels.sandbox.server import PracticeServer
from scheduler import dispatch
from scheduler.settings import Settings
from scheduler.store.tables import accounts
from tests.engine.conftest import AHEAD, PATIENCE, Engine, keep_answer, opened, unhurried
from tests.support.clocks import SetClock

SECOND = 1_000_000


async def test_arming_ahead_makes_no_lease_longer(
    settings: Settings, practice: PracticeServer
) -> None:
    usual = settings.model_copy(update={"lease": 100, "send_timeout": 20, "arm_ahead": 60})
    async with opened(usual, practice) as engine, engine.worker():
        post = await engine.post("facebook", seconds=AHEAD)
        (row,) = await engine.settled(post, "armed")
    assert row.lease_until <= row.updated_at + 100 * SECOND


async def test_a_send_fits_into_the_lease_however_early_it_was_armed(
    settings: Settings, practice: PracticeServer
) -> None:
    early = settings.model_copy(update={"lease": 5, "send_timeout": 4, "arm_ahead": 60})
    async with opened(early, practice) as engine, engine.worker():
        post = await engine.post("facebook", seconds=AHEAD)
        (row,) = await engine.settled(post, "armed")
    assert row.lease_until >= row.due_at + 4 * SECOND


async def _renewed(engine: Engine, post: str, until: int) -> None:
    await engine.until(post, lambda rows: rows[0].lease_until >= until)


async def test_what_waits_longer_than_a_lease_stays_its_worker_s(
    settings: Settings,
    practice: PracticeServer,
    clock: SetClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lease = 100
    monkeypatch.setattr(dispatch, "RENEWALS", 10 * lease)
    usual = unhurried(settings).model_copy(update={"lease": lease})
    async with opened(usual, practice, clock) as engine:
        async with engine.services.database.write() as connection:
            await connection.execute(accounts.update().values(max_concurrent=1))
        first = keep_answer(monkeypatch, engine, "facebook")
        async with engine.worker():
            posts = [await engine.post("facebook", title=f"Post {n}") for n in range(4)]
            await asyncio.wait_for(first.there.wait(), PATIENCE)
            for post in posts:
                await engine.settled(post, "armed")
            for _ in range(3):
                clock.ahead_us += lease // 3 * SECOND
                whole = clock.micros() + lease * SECOND
                for post in posts:
                    await _renewed(engine, post, whole)
            clock.ahead_us += SECOND
            first.given.set()
            rows = [(await engine.settled(post, "delivered"))[0] for post in posts]
    assert rows[1].first_sent_at - rows[0].first_sent_at >= lease * SECOND
    assert [row.attempt for row in rows] == [1] * len(rows)
    assert len(engine.ledger("facebook")) == len(rows)
