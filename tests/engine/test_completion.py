"""Outcomes are committed once, whatever fails behind the commit."""

from __future__ import annotations

import asyncio
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Any

from sqlalchemy import select

from channels.outcome import AccessLost, AccessReason, Delivered, Outcome, Throttled
from channels.posts import Message
from channels.sandbox.faults import FaultName
from scheduler.attempt import Armed, Attempted
from scheduler.completion import Completer
from scheduler.decide import SECOND, Done, Move, Rules, decide
from scheduler.deliveries import Delivery
from scheduler.ending import end
from scheduler.journal import Journal
from scheduler.limits import FOREVER, BreakerPolicy, read_sign
from scheduler.retry import RetryPolicy
from scheduler.store import claims
from scheduler.store.tables import attempts, deliveries, events
from tests.engine.conftest import PATIENCE, Engine


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


async def test_what_is_committed_together_takes_nothing_back_of_lost_access(
    engine: Engine, tmp_path: Path
) -> None:
    services = engine.services
    for title in ("Lost", "Slowed"):
        await engine.post("facebook", title=title)
    now = services.clock.micros()
    claimed = await claims.claim_due(
        services.database, horizon=now, worker="w", token="t", lease_until=now + SECOND, now=now
    )
    members = await services.roster.members([engine.accounts["facebook"]])
    member = members[engine.accounts["facebook"]]
    lost = AccessLost(reason=AccessReason.TOKEN, detail="revoked", remedy="Reconnect it.")
    with closing(Journal(tmp_path / "journal", "w")) as journal:
        completer = Completer(services.database, services.clock, journal, "w", _no_road)
        outcomes: list[Outcome] = [lost, Throttled(reason="busy")]
        for delivery, outcome in zip(claimed, outcomes, strict=True):
            message = Message(post_id=delivery.post_id, text="")
            armed = Armed(delivery, member, message, now, now + SECOND)
            decision = decide(outcome, delivery, now, Rules(retry=RetryPolicy()), Random(1))
            sign = read_sign(outcome, 0, member.status, now, BreakerPolicy())
            completer.add(Attempted(armed, outcome, decision, sign, now, now, 0))
        running = asyncio.create_task(completer.run())
        await completer.drained()
        await end([running])
        await completer.close()
    account = await engine.account("facebook")
    assert (account.status, account.paused_until) == ("access-lost", FOREVER)
    assert [alert.kind for alert in await engine.alerts()] == ["account.access-lost"]


async def test_an_outcome_that_cannot_be_written_keeps_no_others_waiting(
    engine: Engine, tmp_path: Path
) -> None:
    services = engine.services
    for number in range(4):
        await engine.post("facebook", title=f"Post {number}")
    now = services.clock.micros()
    claimed = await claims.claim_due(
        services.database, horizon=now, worker="w", token="t", lease_until=now + SECOND, now=now
    )
    members = await services.roster.members([engine.accounts["facebook"]])
    member = members[engine.accounts["facebook"]]
    with closing(Journal(tmp_path / "journal", "w")) as journal:
        completer = Completer(services.database, services.clock, journal, "w", _no_road)
        running = asyncio.create_task(completer.run())
        for delivery in claimed:
            message = Message(post_id=delivery.post_id, text="")
            armed = Armed(delivery, member, message, now, now + SECOND)
            # Of a kind that no driver takes.
            remote: Any = object() if delivery is claimed[1] else delivery.id
            done = Delivered(remote_id=remote)
            completer.add(Attempted(armed, done, Done(remote, None), None, now, now, 0))
        others = {delivery.id for delivery in claimed if delivery is not claimed[1]}
        async with asyncio.timeout(PATIENCE):
            while await _delivered(engine) != others:  # noqa: ASYNC110 -- no event
                await asyncio.sleep(0.02)
        await completer.drained()  # a person has it by now
        await end([running])
        await completer.close()
    (alert,) = await engine.alerts()
    assert (alert.kind, alert.data["delivery_id"]) == ("delivery.unconfirmed", claimed[1].id)


async def _delivered(engine: Engine) -> set[str]:
    statement = select(deliveries.c.id).where(deliveries.c.state == "delivered")
    async with engine.services.database.read() as connection:
        return set((await connection.execute(statement)).scalars())


async def _no_road(_delivery: Delivery, _move: Move) -> None:
    raise AssertionError("nothing here is moved")
