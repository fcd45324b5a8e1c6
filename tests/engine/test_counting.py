"""The leader's count of the queue: its cost does not grow with what is planned."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from scheduler import duties, metrics
from scheduler.clock import Clock
from scheduler.worker import Worker
from tests.bench import hot
from tests.engine.conftest import PATIENCE, Engine, broadcast

ROUNDS = 45


class Slow(Clock):
    """Whatever is done between two looks at it takes a second."""

    at = 0.0

    def monotonic(self) -> float:
        self.at += 1
        return self.at


def told() -> dict[str, float]:
    samples = next(iter(metrics.QUEUE_DEPTH.collect())).samples
    return {sample.labels["state"]: sample.value for sample in samples}


async def test_what_is_planned_is_counted_the_less_often_the_longer_it_takes(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(duties, "COUNT_EVERY", 0)
    monkeypatch.setattr(duties, "COUNT_SHARE", 0.05)  # a second in twenty
    metrics.QUEUE_DEPTH.clear()
    await engine.post("blog", "facebook", seconds=3600)
    worker = Worker(engine.services, redis_url=None, broadcast=broadcast)
    await worker._duties.beat()
    counting = replace(worker._duties, clock=Slow()).count()
    async with hot.statements(engine.services.database) as sent:
        running = asyncio.create_task(counting)
        async with asyncio.timeout(PATIENCE):
            while sum("GROUP BY" in sql for sql, _ in sent) < ROUNDS:  # noqa: ASYNC110 -- no event
                await asyncio.sleep(0.01)
        running.cancel()
        await asyncio.wait([running])
    assert told() == {
        "scheduled": 2, "armed": 0, "sending": 0, "accepted": 0, "unconfirmed": 0, "held": 0
    }  # fmt: skip
    counts = sum("due_at >" in sql and "count" in sql for sql, _ in sent)
    rounds = sum("GROUP BY" in sql for sql, _ in sent)
    assert rounds / 25 <= counts <= rounds / 15


async def test_only_the_leader_counts(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duties, "COUNT_EVERY", 0.01)
    leader, other = (
        Worker(engine.services, redis_url=None, broadcast=broadcast)._duties for _ in range(2)
    )
    for each in (leader, other):
        await each.beat()
    assert await leader._leads("count", duties.COUNT_TERM)
    metrics.QUEUE_DEPTH.labels("scheduled").set(7)
    running = asyncio.create_task(other.count())
    async with asyncio.timeout(PATIENCE):
        while told():  # noqa: ASYNC110 -- no event
            await asyncio.sleep(0.01)
    running.cancel()
    await asyncio.wait([running])
