"""An outcome that the database refuses, though it is there: the least of it is written, a person is
told, nothing is published twice, and nothing is tried for ever."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from channels.sandbox.faults import FaultName
from scheduler.drafts import Revision
from scheduler.settings import Settings
from scheduler.store.tables import attempts, deliveries, events
from scheduler.worker import Worker
from tests.engine.conftest import PATIENCE, Engine, unhurried
from tests.engine.test_belated import under_way
from tests.support.clocks import SetClock
from tests.support.refusing import refuse


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return unhurried(settings)


async def _done_with(worker: Worker) -> None:
    """Nothing is left in memory."""
    async with asyncio.timeout(PATIENCE):
        await worker._completer.drained()


async def _all(engine: Engine, table: Any) -> list[Any]:
    async with engine.services.database.read() as connection:
        return list((await connection.execute(select(table))).all())


async def test_what_was_published_and_cannot_be_said_to_be_waits_for_a_person(
    engine: Engine,
) -> None:
    refused = "NEW.state = 'delivered' AND NEW.url LIKE '%facebook%'"
    await refuse(engine.services.database, "deliveries", "UPDATE", refused)
    async with engine.worker() as worker:
        post = await engine.post("facebook", seconds=0.3)
        other = await engine.post("linkedin", seconds=0.3)
        (row,) = await engine.settled(post, "held")
        await engine.settled(other, "delivered")
        await _done_with(worker)
    assert (row.hold_reason, row.token, row.look_at) == ("unconfirmed", None, None)
    assert row.first_sent_at is not None
    assert len(engine.ledger("facebook")) == 1
    (alert,) = await engine.alerts()
    assert (alert.kind, alert.data["delivery_id"]) == ("delivery.unconfirmed", row.id)
    kinds = [one.kind for one in await _all(engine, events) if one.delivery_id == row.id]
    assert kinds == ["delivery.held"]
    assert sorted(one.outcome for one in await _all(engine, attempts)) == ["delivered"] * 2
    await engine.services.desk.settle(row.id, published=True, url=None, actor="tests")
    await engine.settled(post, "delivered")


async def test_what_was_not_published_waits_for_a_person(engine: Engine) -> None:
    engine.fault("facebook", FaultName.THROTTLED)
    refused = "NEW.state = 'scheduled' AND NEW.cause LIKE 'throttled%'"
    await refuse(engine.services.database, "deliveries", "UPDATE", refused)
    async with engine.worker() as worker:
        post = await engine.post("facebook", seconds=0.3)
        (row,) = await engine.settled(post, "held")
        await _done_with(worker)
    assert (row.hold_reason, row.first_sent_at) == ("approval", None)
    (alert,) = await engine.alerts()
    assert (alert.kind, alert.data["delivery_id"]) == ("delivery.held", row.id)


async def test_an_attempt_that_cannot_be_noted_takes_nothing_from_what_it_came_to(
    engine: Engine,
) -> None:
    engine.fault("facebook", FaultName.REJECTED)
    await refuse(engine.services.database, "attempts", "INSERT", "NEW.action = 'send'")
    async with engine.worker() as worker:
        lost = await engine.post("facebook", seconds=0.3)
        post = await engine.post("linkedin", seconds=0.3)
        (row,) = await engine.settled(post, "delivered")
        await engine.until(lost, lambda rows: rows[0].state in {"rerouted", "failed"})
        await _done_with(worker)
    assert row.remote_id
    assert len(engine.ledger("linkedin")) == 1
    assert await _all(engine, attempts) == []
    kinds = {one.kind for one in await _all(engine, events)}
    assert {"delivery.delivered", "delivery.refused"} <= kinds


async def test_of_what_cannot_be_written_at_all_a_person_is_told(
    engine: Engine, clock: SetClock
) -> None:
    refused = "NEW.state IN ('delivered', 'held') AND NEW.part = 'post'"
    await refuse(engine.services.database, "deliveries", "UPDATE", refused)
    async with engine.worker() as worker:
        post = await engine.post("facebook", seconds=0.3)
        async with asyncio.timeout(PATIENCE):
            while not (told := await engine.alerts()):  # noqa: ASYNC110 -- no event
                await asyncio.sleep(0.02)
        await _done_with(worker)
        # Its lease is nobody's to renew: it is looked for on its page, like any doubt.
        clock.set(clock.now() + timedelta(seconds=engine.services.settings.lease + 1))
        (row,) = await engine.until(post, lambda rows: rows[0].state == "unconfirmed")
    assert [(one.kind, one.data["delivery_id"]) for one in told] == [
        ("delivery.unconfirmed", row.id)
    ]
    assert len(engine.ledger("facebook")) == 1


async def test_a_road_that_cannot_be_written_waits_for_a_person(engine: Engine) -> None:
    engine.fault("facebook", FaultName.REJECTED)
    await refuse(
        engine.services.database, "deliveries", "UPDATE", "NEW.state IN ('rerouted', 'failed')"
    )
    async with engine.worker() as worker:
        post = await engine.post("facebook", seconds=0.3)
        (row,) = await engine.settled(post, "held")
        await _done_with(worker)
    assert row.hold_reason == "approval"
    (alert,) = await engine.alerts()
    assert (alert.kind, alert.data["delivery_id"]) == ("delivery.held", row.id)


async def test_what_looking_finds_and_cannot_be_written_waits_for_a_person(engine: Engine) -> None:
    engine.fault("facebook", FaultName.ANSWER_LOST, times=1)
    await refuse(engine.services.database, "deliveries", "UPDATE", "NEW.state = 'delivered'")
    again = deliveries.update().where(deliveries.c.state == "unconfirmed").values(look_at=1)
    async with engine.worker():
        post = await engine.post("facebook", seconds=0.3)
        async with asyncio.timeout(PATIENCE):
            while not await engine.alerts():
                async with engine.services.database.write() as connection:
                    await connection.execute(again)
                await asyncio.sleep(0.05)
        (row,) = await engine.settled(post, "held")
    assert (row.hold_reason, row.look_at) == ("unconfirmed", None)
    assert len(engine.ledger("facebook")) == 1
    (alert,) = await engine.alerts()
    assert (alert.kind, alert.count) == ("delivery.unconfirmed", 1)


async def test_a_late_answer_that_cannot_be_written_is_told_and_not_sent_again(
    engine: Engine, clock: SetClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    await refuse(engine.services.database, "deliveries", "UPDATE", "NEW.state = 'delivered'")
    async with engine.worker() as worker:
        async with under_way(engine, clock, monkeypatch) as post:
            revision = Revision.model_validate({"title": "We close"})
            await engine.services.reviser.revise(post, revision, "tests")
        (row,) = await engine.settled(post, "held")
        await _done_with(worker)
    assert row.hold_reason == "unconfirmed"
    assert len(engine.ledger("facebook")) == 1
    kinds = {one.kind for one in await engine.alerts()}
    assert kinds == {"delivery.unconfirmed", "delivery.belated"}
