"""What the engine measures of itself moves when the thing itself happens."""

from __future__ import annotations

import asyncio

import pytest
from prometheus_client import REGISTRY
from sqlalchemy import update

from channels.registry import ADAPTERS
from channels.sandbox.faults import FaultName
from scheduler import metrics
from scheduler.store.tables import deliveries
from tests.engine.conftest import PATIENCE, Engine, keep_answer

SECOND = 1_000_000


def _now(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(f"estafette_{name}", labels) or 0.0


async def test_every_step_of_a_delivery_is_counted(engine: Engine) -> None:
    engine.fault("facebook", FaultName.ANSWER_LOST, times=1)
    names = [
        ("claims_total", {}),
        ("lateness_seconds_count", {"channel": "facebook"}),
        ("outcomes_total", {"channel": "facebook", "outcome": "unconfirmed"}),
        ("reconciled_total", {"found": "found"}),
    ]
    before = [_now(name, **labels) for name, labels in names]
    async with engine.worker():
        post = await engine.post("facebook")
        await engine.settled(post, "delivered")
        assert _now("db_up") == 1
    after = [_now(name, **labels) for name, labels in names]
    assert [then - was for was, then in zip(before, after, strict=True)] == [1] * len(names)


@pytest.mark.parametrize("due", ["later", "before"])
async def test_what_a_dead_worker_had_is_counted_when_it_is_taken_over(
    engine: Engine, due: str
) -> None:
    to = "scheduled" if due == "later" else "unconfirmed"
    before = _now("rescued_total", to=to)
    post = await engine.post("facebook", seconds=60)
    now = engine.services.clock.micros()
    async with engine.services.database.write() as connection:
        await connection.execute(
            update(deliveries).values(
                state="armed", token="dead", worker="dead", attempt=1, lease_until=now - SECOND,
                due_at=now + 60 * SECOND if due == "later" else now - 60 * SECOND,
            )
        )  # fmt: skip
    async with engine.worker():
        await engine.until(post, lambda rows: rows[0].token != "dead")
    assert _now("rescued_total", to=to) == before + 1


async def test_an_outcome_after_its_lease_is_counted(
    early: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = keep_answer(monkeypatch, early, "facebook")
    before = _now("leases_lost_total")
    async with early.worker():
        post = await early.post("facebook")
        await asyncio.wait_for(answer.there.wait(), PATIENCE)
        async with early.services.database.write() as connection:
            await connection.execute(
                update(deliveries).values(state="unconfirmed", token=None, lease_until=None)
            )
        answer.given.set()
        await early.settled(post, "delivered")
    assert _now("leases_lost_total") == before + 1


async def test_what_never_happened_is_said_to_be_nothing(engine: Engine) -> None:
    """Of a sample that comes from nowhere, Prometheus cannot tell that it grew."""
    for measure in (metrics.RESCUED, metrics.REROUTED, metrics.LATENESS):
        measure.clear()
    async with engine.worker():
        for to in ("scheduled", "unconfirmed", "delivered"):
            assert REGISTRY.get_sample_value("estafette_rescued_total", {"to": to}) == 0
        for channel in {type(engine.services.registry[name]).channel for name in ADAPTERS}:
            for name, label in (("rerouted_total", "to"), ("lateness_seconds_count", "channel")):
                said = REGISTRY.get_sample_value(f"estafette_{name}", {label: channel})
                assert said == 0


async def test_how_deep_the_queue_is_is_told(engine: Engine) -> None:
    for number in range(3):
        await engine.post("facebook", seconds=600, title=f"Post {number}")
    async with engine.worker():
        await engine.until("", lambda _: _now("queue_depth", state="scheduled") == 3)
