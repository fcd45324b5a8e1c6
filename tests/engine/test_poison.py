"""One account that is broken keeps none of the others waiting, and its owner is told."""

from __future__ import annotations

from typing import Any

import pytest

from channels.outcome import HealthStatus
from channels.sandbox.faults import FaultName
from scheduler.drafts import Draft
from scheduler.plan_b import PlanB
from scheduler.refusals import RefusedError
from scheduler.store.tables import accounts, deliveries, posts
from tests.engine.conftest import CALLER, Engine

LOST = b"sealed with a key that is lost"


async def change(engine: Engine, channel: str, **columns: Any) -> Any:
    """Change an account's row behind everybody's back; what was there."""
    row = await engine.account(channel)
    async with engine.services.database.write() as connection:
        await connection.execute(
            accounts.update()
            .where(accounts.c.id == row.id)
            .values(updated_at=row.updated_at + 1, **columns)
        )
    return row


@pytest.mark.parametrize(
    ("spoilt", "why"),
    [
        ({"secrets": LOST}, "sealed with another key"),
        ({"adapter": "telegraph"}, "unknown channel 'telegraph'"),
        ({"settings": {"page_id": "1", "colour": "blue"}}, "no longer usable: page_id, colour"),
    ],
)
async def test_an_account_that_cannot_be_opened_waits_alone_and_is_told_of(
    engine: Engine, spoilt: dict[str, Any], why: str
) -> None:
    post = await engine.post("facebook", "linkedin", title="Both")
    was = await change(engine, "facebook", **spoilt)
    async with engine.worker() as worker:
        rows = await engine.until(
            post, lambda rows: {"delivered"} <= {row.state for row in rows} and rows[0].cause != ""
        )
        waiting, _ = rows
        assert waiting.state == "scheduled"
        assert why in waiting.cause
        assert waiting.due_at > waiting.planned_at
        await worker.doctor.probe(engine.accounts["facebook"])
        await worker.doctor.probe(engine.accounts["facebook"])
        (alert,) = [one for one in await engine.alerts() if one.kind == "account.closed"]
        assert (alert.data["account_id"], alert.count) == (engine.accounts["facebook"], 1)
        assert why in alert.data["cause"]

        restored = {name: getattr(was, name) for name in spoilt}
        await change(engine, "facebook", **restored)
        async with engine.services.database.write() as connection:
            await connection.execute(
                deliveries.update().where(deliveries.c.id == waiting.id).values(due_at=1)
            )
        worker.dispatcher.wake()
        await engine.settled(post, "delivered", "delivered")
        health = await worker.doctor.probe(engine.accounts["facebook"])
        assert health is not None
        assert health.status is HealthStatus.HEALTHY
    (alert,) = [one for one in await engine.alerts() if one.kind == "account.closed"]
    assert alert.resolved_at is not None
    assert len(engine.ledger("facebook")) == 1


async def test_a_post_for_an_account_that_cannot_be_opened_says_so(engine: Engine) -> None:
    await change(engine, "facebook", secrets=LOST)
    draft = Draft.model_validate({"title": "x", "accounts": [engine.accounts["facebook"]]})
    with pytest.raises(RefusedError) as refused:
        await engine.services.intake.accept(draft, CALLER)
    (error,) = refused.value.errors
    assert error.field == "accounts[0]"


async def test_what_waits_for_an_account_that_cannot_be_opened_is_too_late_one_day(
    engine: Engine,
) -> None:
    post = await engine.post("facebook", late_policy="ask")
    await change(engine, "facebook", secrets=LOST)
    async with engine.services.database.write() as connection:
        await connection.execute(deliveries.update().values(due_at=1, planned_at=1, deadline_at=2))
    async with engine.worker():
        await engine.until(post, lambda rows: rows[0].hold_reason == "late")


async def test_a_road_that_cannot_be_rendered_does_not_hold_up_the_move(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_args: Any, **_how: Any) -> Any:
        raise KeyError("title")

    post = await engine.post("facebook")
    monkeypatch.setattr(type(engine.services.registry["blog"]), "render", broken)
    engine.fault("facebook", FaultName.REJECTED)
    async with engine.worker():
        (row,) = await engine.settled(post, "failed")
    assert "Our site: could not be rendered (KeyError)" in row.cause


async def test_a_post_that_cannot_be_read_waits_for_a_person_and_is_told_of(
    engine: Engine,
) -> None:
    post = await engine.post("facebook", seconds=0.5)
    async with engine.services.database.write() as connection:
        await connection.execute(
            posts.update().where(posts.c.id == post).values(content={"media": 7})
        )
    async with engine.worker():
        other = await engine.post("facebook", seconds=0.5, title="Another")
        await engine.settled(other, "delivered")
        (row,) = await engine.settled(post, "held")
    assert row.attempt == 1
    assert "its words cannot be read (TypeError)" in row.cause
    assert [alert.kind for alert in await engine.alerts()] == ["delivery.held"]


async def test_a_post_that_cannot_be_judged_keeps_no_other_waiting(engine: Engine) -> None:
    post = await engine.post("facebook", seconds=0.5)
    async with engine.services.database.write() as connection:
        await connection.execute(
            posts.update().where(posts.c.id == post).values(late_policy="some day")
        )
    async with engine.worker():
        other = await engine.post("linkedin", seconds=0.5, title="Another")
        await engine.settled(other, "delivered")
        (row,) = await engine.settled(post, "held")
    assert "cannot be told (ValueError)" in row.cause
    assert [alert.kind for alert in await engine.alerts()] == ["delivery.held"]


async def test_a_move_that_fails_again_and_again_does_not_keep_the_worker_busy(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(*_args: Any, **_how: Any) -> None:
        raise OSError("the database is away")

    def broken(*_args: Any, **_how: Any) -> Any:
        raise KeyError("title")

    monkeypatch.setattr(PlanB, "move", fails)
    post = await engine.post("facebook")
    monkeypatch.setattr(type(engine.services.registry["facebook"]), "render", broken)
    async with engine.worker():
        for _ in range(3):
            other = await engine.post("linkedin", seconds=0.5)
            await engine.settled(other, "delivered")
        (row,) = await engine.rows(post)
    assert row.attempt < 30  # as often as there are rounds, and no more
