"""An answer that comes when its delivery is not its worker's any more: clocks were put back while
the request was under way, and a change was accepted that came too late."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from channels.sandbox.faults import FaultName
from scheduler.drafts import Revision
from scheduler.settings import Settings
from scheduler.store.tables import deliveries
from tests.engine.conftest import PATIENCE, Engine, keep_answer, unhurried
from tests.support.clocks import SetClock

HOUR = 3_600_000_000


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return unhurried(settings)


@asynccontextmanager
async def under_way(
    engine: Engine, clock: SetClock, monkeypatch: pytest.MonkeyPatch, *faults: FaultName
) -> AsyncIterator[str]:
    """A post whose request is under way, until the context ends, when the clock is put back by a
    minute."""
    for name in faults:
        engine.fault("facebook", name, times=1)
    answer = keep_answer(monkeypatch, engine, "facebook")
    post = await engine.post("facebook", seconds=0.5)
    await asyncio.wait_for(answer.there.wait(), PATIENCE)
    clock.set(clock.now() - timedelta(minutes=1))
    yield post
    answer.given.set()


async def test_what_was_changed_too_late_goes_out_once(
    engine: Engine, clock: SetClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with engine.worker():
        async with under_way(engine, clock, monkeypatch) as post:
            revision = Revision.model_validate({"title": "We close"})
            await engine.services.reviser.revise(post, revision, "tests")
        (row,) = await engine.settled(post, "delivered")
        clock.set(clock.now() + timedelta(minutes=2))  # had it not been settled, it would go now
        other = await engine.post("linkedin")
        await engine.settled(other, "delivered")
        (row,) = await engine.settled(post, "delivered")
    assert [text.splitlines()[0] for text in engine.ledger("facebook")] == ["We reopen"]
    assert row.remote_id
    (alert,) = [one for one in await engine.alerts() if one.kind == "delivery.belated"]
    assert alert.data["delivery_id"] == row.id


async def test_what_was_cancelled_too_late_is_told(
    engine: Engine, clock: SetClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with engine.worker() as worker:
        async with under_way(engine, clock, monkeypatch) as post:
            await engine.services.desk.cancel_post(post, "tests")
        await worker.dispatcher.stop(PATIENCE)
    (row,) = await engine.rows(post)
    assert (row.state, len(engine.ledger("facebook"))) == ("cancelled", 1)
    (alert,) = [one for one in await engine.alerts() if one.kind == "delivery.belated"]
    assert alert.data["url"] is not None


async def test_what_may_have_left_in_other_words_waits_for_a_person(
    engine: Engine, clock: SetClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with engine.worker():
        async with under_way(engine, clock, monkeypatch, FaultName.ANSWER_LOST) as post:
            revision = Revision.model_validate({"body": "Another time."})
            await engine.services.reviser.revise(post, revision, "tests")
        (row,) = await engine.settled(post, "held")
    assert row.hold_reason == "unconfirmed"
    assert len(engine.ledger("facebook")) == 1
    assert "delivery.belated" in [one.kind for one in await engine.alerts()]


async def test_what_may_have_left_is_looked_for_before_it_is_sent_again(
    engine: Engine, clock: SetClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with engine.worker():
        async with (
            under_way(engine, clock, monkeypatch, FaultName.ANSWER_LOST) as post,
            engine.services.database.write() as connection,
        ):
            await connection.execute(
                deliveries.update()
                .where(deliveries.c.post_id == post)
                .values(state="scheduled", token=None, worker=None, lease_until=None)
            )
        (row,) = await engine.settled(post, "delivered")
    assert "found on the platform" in row.cause
    assert len(engine.ledger("facebook")) == 1


async def test_a_rescue_that_came_too_early_is_taken_back(
    engine: Engine, clock: SetClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with engine.worker():
        async with (
            under_way(engine, clock, monkeypatch) as post,
            engine.services.database.write() as connection,
        ):
            await connection.execute(
                deliveries.update()
                .where(deliveries.c.post_id == post)
                .values(
                    state="unconfirmed", token=None, worker=None, lease_until=None,
                    look_at=clock.micros() + HOUR,
                )
            )  # fmt: skip
        (row,) = await engine.settled(post, "delivered")
    assert row.remote_id
    assert [one.kind for one in await engine.alerts()] == []
