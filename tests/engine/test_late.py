"""After an outage: late is a choice, and catching up is no burst."""

import asyncio
from datetime import timedelta

import pytest

from channels.sandbox.faults import Fault, FaultName
from channels.sandbox.server import PracticeServer
from scheduler.clock import micros, moment
from scheduler.settings import Settings
from scheduler.store.tables import accounts, deliveries
from tests.engine.conftest import PATIENCE, Engine, opened

HOUR = 3_600_000_000
GAP = 0.4


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"catch_up_gap": GAP})


async def outage(engine: Engine, post: str, hours: float) -> None:
    """As if nothing had run since long before the post's time."""
    by = int(hours * HOUR)
    async with engine.services.database.write() as connection:
        await connection.execute(
            deliveries.update()
            .where(deliveries.c.post_id == post)
            .values(
                due_at=deliveries.c.due_at - by,
                planned_at=deliveries.c.planned_at - by,
                deadline_at=deliveries.c.deadline_at - by,
            )
        )


async def test_what_is_overdue_goes_out_in_order_with_a_gap(engine: Engine) -> None:
    posts = [await engine.post("facebook", title=f"Post {n}") for n in range(4)]
    for n, post in enumerate(posts):
        await outage(engine, post, 6 - n)
    began = engine.services.clock.micros()
    async with engine.worker():
        rows = [(await engine.settled(post, "delivered"))[0] for post in posts]
    sent = [row.first_sent_at for row in rows]
    assert sent == sorted(sent)
    assert all(at >= began + n * GAP * 1_000_000 for n, at in enumerate(sent))
    assert len(engine.ledger("facebook")) == 4


async def test_one_account_catching_up_delays_no_other(engine: Engine) -> None:
    late = [await engine.post("facebook", title=f"Post {n}") for n in range(4)]
    for post in late:
        await outage(engine, post, 3)
    async with engine.worker():
        fresh = await engine.post("linkedin")
        (row,) = await engine.settled(fresh, "delivered")
        last = [(await engine.settled(post, "delivered"))[0] for post in late][-1]
    assert row.first_sent_at < last.first_sent_at


async def test_asking_holds_and_tells(engine: Engine) -> None:
    post = await engine.post("facebook", late_policy="ask")
    await outage(engine, post, 2)
    async with engine.worker():
        (row,) = await engine.settled(post, "held")
    assert row.hold_reason == "late"
    (alert,) = await engine.alerts()
    assert (alert.kind, alert.data["post_id"]) == ("delivery.held", post)
    assert engine.ledger("facebook") == []


async def test_dropping_drops_and_tells(engine: Engine) -> None:
    post = await engine.post("facebook", late_policy="drop")
    await outage(engine, post, 2)
    async with engine.worker():
        await engine.settled(post, "failed")
    (alert,) = await engine.alerts()
    assert alert.kind == "delivery.failed"
    assert engine.ledger("facebook") == []


async def test_past_its_deadline_nothing_goes_out_by_itself(engine: Engine) -> None:
    post = await engine.post("facebook")
    await outage(engine, post, 30)
    async with engine.worker():
        (row,) = await engine.settled(post, "held")
    assert (row.hold_reason, engine.ledger("facebook")) == ("late", [])
    assert [alert.kind for alert in await engine.alerts()] == ["delivery.held"]


async def test_nor_does_it_past_a_deadline_that_is_near(engine: Engine) -> None:
    deadline = engine.services.clock.now() + timedelta(minutes=2)
    post = await engine.post("facebook", deadline=deadline.isoformat())
    await outage(engine, post, 0.1)
    async with engine.worker():
        (row,) = await engine.settled(post, "held")
    assert (row.hold_reason, engine.ledger("facebook")) == ("late", [])


async def test_nor_what_was_armed_and_waited_behind_others_until_then(
    settings: Settings, practice: PracticeServer
) -> None:
    hang = Fault(FaultName.HANG, times=1)
    practice.platforms["facebook"].faults.add(hang)
    one = settings.model_copy(update={"worker_concurrency": 1})
    async with opened(one, practice) as engine, engine.worker():
        await engine.post("facebook")
        async with asyncio.timeout(PATIENCE):
            while not hang.seen:  # noqa: ASYNC110 -- a practice platform
                await asyncio.sleep(0.01)
        deadline = engine.services.clock.now() + timedelta(seconds=1)
        post = await engine.post("facebook", deadline=deadline.isoformat())
        await engine.settled(post, "armed")
        (row,) = await engine.settled(post, "held")
    assert row.hold_reason == "late"


async def test_a_little_late_is_not_overdue(engine: Engine) -> None:
    post = await engine.post("facebook", late_policy="drop")
    await outage(engine, post, 0.1)
    async with engine.worker():
        await engine.settled(post, "delivered")


async def test_a_pause_beyond_its_deadline_has_a_post_take_another_road_at_once(
    engine: Engine,
) -> None:
    engine.fault("facebook", FaultName.THROTTLED, times=1, seconds=7200)
    deadline = engine.services.clock.now() + timedelta(hours=1)
    async with engine.worker():
        refused = await engine.post("facebook")
        await engine.until(refused, lambda r: r[0].attempt == 1 and r[0].state == "scheduled")
        post = await engine.post("facebook", deadline=deadline.isoformat())
        rows = await engine.settled(post, "rerouted", "delivered")
    assert "would miss its deadline: account paused" in rows[0].cause
    assert engine.ledger("facebook") == []


async def test_what_waited_for_the_end_of_a_pause_goes_out_in_its_order(engine: Engine) -> None:
    """By the times that its owner gave, whichever post was written first."""
    second = 1_000_000
    whole = (engine.services.clock.micros() // second + 1) * second
    async with engine.services.database.write() as connection:
        await connection.execute(
            accounts.update()
            .where(accounts.c.id == engine.accounts["facebook"])
            .values(
                paused_until=whole + 4 * second,
                pause_reason="throttled",
                updated_at=accounts.c.updated_at + 1,
            )
        )
    at = {n: moment(whole + n * second // 4).isoformat() for n in (7, 4, 2)}
    posts = {n: await engine.post("facebook", title=f"{n}", at=at[n]) for n in at}
    async with engine.worker():
        rows = {n: (await engine.settled(posts[n], "delivered"))[0] for n in posts}
    assert sorted(rows, key=lambda n: rows[n].first_sent_at) == [2, 4, 7]
    assert min(row.first_sent_at for row in rows.values()) >= whole + 4 * second
    # Armed ahead of the end of the pause, not claimed and put off again and again until then.
    assert {row.attempt for row in rows.values()} == {2}


async def test_so_does_what_was_armed_before_the_pause(engine: Engine) -> None:
    now = engine.services.clock.now()
    deadline = (now + timedelta(hours=1)).isoformat()
    async with engine.worker():
        post = await engine.post("facebook", seconds=2, deadline=deadline)
        await engine.settled(post, "armed")
        async with engine.services.database.write() as connection:
            await connection.execute(
                accounts.update()
                .where(accounts.c.id == engine.accounts["facebook"])
                .values(
                    paused_until=micros(now) + 2 * HOUR,
                    pause_reason="throttled",
                    updated_at=accounts.c.updated_at + 1,
                )
            )
        await engine.settled(post, "rerouted", "delivered")
    assert engine.ledger("facebook") == []
