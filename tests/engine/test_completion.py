"""Outcomes are committed once, whatever fails behind the commit."""

from __future__ import annotations

from sqlalchemy import select

from channels.sandbox.faults import FaultName
from scheduler.decide import Move
from scheduler.deliveries import Delivery
from scheduler.store.tables import attempts, events
from tests.engine.conftest import Engine


async def test_a_move_that_fails_is_tried_again_and_repeats_nothing_beside_it(
    engine: Engine,
) -> None:
    engine.fault("facebook", FaultName.REJECTED)
    failures = 3

    async with engine.worker() as worker:
        take_road = worker._completer.mover

        async def fails_at_first(delivery: Delivery, move: Move) -> None:
            nonlocal failures
            if failures:
                failures -= 1
                raise OSError("the database is away")
            await take_road(delivery, move)

        worker._completer.mover = fails_at_first
        post = await engine.post("facebook", "linkedin", seconds=0.5)
        await engine.until(
            post,
            lambda rows: {row.state for row in rows} <= {"delivered", "rerouted", "failed", "held"},
        )
    async with engine.services.database.read() as connection:
        tried = (await connection.execute(select(attempts))).all()
        kinds = (await connection.execute(select(events.c.kind))).scalars().all()
    ids = {row.id for row in await engine.rows(post)}
    assert not failures
    assert sorted(row.delivery_id for row in tried) == sorted(ids)
    assert not any(row.stale for row in tried)
    assert "delivery.stale" not in kinds
