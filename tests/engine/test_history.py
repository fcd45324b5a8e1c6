"""What is long over is packed away and reads as before; what goes on stays."""

from __future__ import annotations

from typing import Any

import pytest
from aiohttp.test_utils import TestClient
from sqlalchemy import func, select, update

from channels.sandbox.faults import FaultName
from scheduler import historian as module
from scheduler.historian import KEYS_KEPT, Historian
from scheduler.store.access_tables import idempotency_keys
from scheduler.store.tables import attempts, deliveries, events, histories
from tests.engine.conftest import Engine

DAY = 86_400_000_000
Api = TestClient[Any, Any]


async def leads() -> bool:
    return True


def historian(engine: Engine) -> Historian:
    services = engine.services
    return Historian(database=services.database, clock=services.clock, after_us=90 * DAY)


async def age(engine: Engine, post_id: str) -> None:
    """As if it had gone out a hundred days ago."""
    gone = select(deliveries.c.id).where(deliveries.c.post_id == post_id)
    async with engine.services.database.write() as connection:
        for table, mine in (
            (deliveries, deliveries.c.post_id == post_id),
            (attempts, attempts.c.delivery_id.in_(gone)),
        ):
            await connection.execute(
                update(table).where(mine).values(finished_at=table.c.finished_at - 100 * DAY)
            )


async def seen(api: Api, post_id: str) -> tuple[Any, Any]:
    """The post with its attempts, and its timeline, as the API tells them."""
    async with api.get(f"/api/v1/posts/{post_id}") as answer:
        post = await answer.json()
    async with api.get(f"/api/v1/posts/{post_id}/events") as answer:
        return post, await answer.json()


async def rows(engine: Engine, table: Any, condition: Any) -> int:
    async with engine.services.database.read() as connection:
        statement = select(func.count()).select_from(table).where(condition)
        return int((await connection.execute(statement)).scalar_one())


async def test_what_is_over_is_packed_and_reads_as_before(engine: Engine, api: Api) -> None:
    engine.fault("facebook", FaultName.SERVER_ERROR, times=1)
    async with engine.worker():
        old = await engine.post("facebook", "blog")
        await engine.settled(old, "delivered", "delivered")
        young = await engine.post("blog")
        await engine.settled(young, "delivered")
    await age(engine, old)
    before, kept = await seen(api, old), await seen(api, young)
    tried = sum(len(each) for each in before[0]["attempts"].values())
    assert await historian(engine).round(leads) == tried + len(before[1]["events"])
    assert await rows(engine, events, events.c.post_id == old) == 0
    assert await rows(engine, attempts, attempts.c.number > 0) == 1
    assert await seen(api, old) == before
    assert await seen(api, young) == kept
    assert await historian(engine).round(leads) == 0


async def test_a_post_that_still_waits_somewhere_stays(engine: Engine) -> None:
    async with engine.worker():
        post = await engine.post("facebook", "blog")
        await engine.settled(post, "delivered", "delivered")
        last = await engine.post("blog")
        await engine.settled(last, "delivered")
    await age(engine, post)
    async with engine.services.database.write() as connection:
        waiting = (await engine.rows(post))[0].id
        await connection.execute(
            update(deliveries).where(deliveries.c.id == waiting).values(state="held")
        )
    assert await historian(engine).round(leads) == 0
    assert await rows(engine, histories, histories.c.packed_at > 0) == 0


async def test_what_is_tried_later_is_read_beside_it_and_packed_too(
    engine: Engine, api: Api
) -> None:
    engine.fault("facebook", FaultName.REJECTED)
    async with engine.worker():
        post = await engine.post("facebook")
        await engine.settled(post, "rerouted", "delivered")
        last = await engine.post("blog")
        await engine.settled(last, "delivered")
    await age(engine, post)
    first = await seen(api, post)
    assert await historian(engine).round(leads) > 1
    async with engine.services.database.write() as connection:
        delivery = (await engine.rows(post))[0]
        values = {
            "delivery_id": delivery.id, "number": 2, "token": "t", "worker": "w", "action": "send",
            "started_at": 1, "finished_at": 2, "outcome": "rejected", "decision": "move",
            "evidence": {},
        }  # fmt: skip
        await connection.execute(attempts.insert(), [values, values | {"delivery_id": "other"}])
    second = await seen(api, post)
    tried = second[0]["attempts"][delivery.id]
    assert tried[:-1] == first[0]["attempts"][delivery.id]
    assert len(tried) == 2
    assert await historian(engine).round(leads) == 1
    assert await seen(api, post) == second


async def test_answers_that_nobody_asks_for_again_are_forgotten_a_few_at_a_time(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BATCH", 2)
    monkeypatch.setattr(module, "REST", 0.0)
    now = engine.services.clock.micros()
    ages = [DAY, *(KEYS_KEPT + DAY * number for number in range(1, 6))]
    async with engine.services.database.write() as connection:
        await connection.execute(
            idempotency_keys.insert(),
            [
                {
                    "token_id": "t", "key": f"k{number}", "fingerprint": "f", "status": 201,
                    "body": {}, "created_at": now - age,
                }
                for number, age in enumerate(ages)
            ],
        )  # fmt: skip
    turns = iter([True, True, False])

    async def leads_for_a_while() -> bool:
        return next(turns)

    await historian(engine).round(leads_for_a_while)
    assert await rows(engine, idempotency_keys, idempotency_keys.c.token_id == "t") == 4
    await historian(engine).round(leads)
    assert await rows(engine, idempotency_keys, idempotency_keys.c.token_id == "t") == 1
