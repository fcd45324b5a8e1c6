"""The clock is put forward or back while a worker holds deliveries and while a request is under
way: nothing is lost, and nothing goes out twice."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from channels.sandbox.faults import FaultName
from scheduler.settings import Settings
from tests.engine.conftest import AHEAD, PATIENCE, Engine, unhurried
from tests.support.clocks import SetClock

STEPS = [
    pytest.param(timedelta(minutes=10), id="ten minutes forward"),
    pytest.param(timedelta(seconds=200), id="past a lease"),
    pytest.param(timedelta(seconds=-2), id="two seconds back"),
    pytest.param(timedelta(minutes=-10), id="ten minutes back"),
]


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """What is looked for after a step is looked for soon: a send takes eight seconds at most."""
    return unhurried(settings).model_copy(update={"arm_ahead": 60, "send_timeout": 8, "lease": 100})


@pytest.mark.parametrize("step", STEPS)
async def test_what_is_armed_goes_out_at_its_time_by_the_new_clock(
    engine: Engine, clock: SetClock, step: timedelta
) -> None:
    async with engine.worker():
        post = await engine.post("facebook", "linkedin", seconds=AHEAD)
        await engine.settled(post, "armed", "armed")
        clock.set(clock.now() + step)
        if step < timedelta(0):
            await engine.post("facebook", title="Meanwhile")  # rounds go on
            assert {row.state for row in await engine.rows(post)} <= {"armed", "scheduled"}
            clock.set(clock.now() - step)  # and is put right
            await engine.comes_due(post)
        rows = await engine.settled(post, "delivered", "delivered")
    assert all(row.first_sent_at >= row.planned_at for row in rows)
    said = [text for text in engine.ledger("facebook") if text.startswith("We reopen")]
    assert (len(said), len(engine.ledger("linkedin"))) == (1, 1)


@pytest.mark.parametrize("step", STEPS)
async def test_what_is_under_way_is_written_down_once(
    engine: Engine, clock: SetClock, step: timedelta
) -> None:
    engine.fault("facebook", FaultName.SLOW, times=1, seconds=1.5)
    (slow,) = engine.practice.platforms["facebook"].faults.listed()
    async with engine.worker():
        post = await engine.post("facebook")
        async with asyncio.timeout(PATIENCE):
            while not slow.seen:  # noqa: ASYNC110 -- a practice platform
                await asyncio.sleep(0.01)
        clock.set(clock.now() + step)
        await engine.settled(post, "delivered")
        after = await engine.post("facebook", title="And another")
        await engine.settled(after, "delivered")
    assert len(engine.ledger("facebook")) == 2
