"""After an outage: late is a choice, and catching up is no burst."""

import asyncio
from datetime import timedelta

import pytest

from channels.sandbox.faults import FaultName
from channels.sandbox.server import PracticeServer
from scheduler.clock import micros, moment
from scheduler.settings import Settings
from scheduler.store.tables import accounts, deliveries
from tests.engine.conftest import AHEAD, PATIENCE, Engine, keep_answer, opened, unhurried
from tests.support.clocks import SetClock

HOUR = 3_600_000_000
GAP = 0.4


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return unhurried(settings).model_copy(update={"catch_up_gap": GAP})


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


async def test_one_account_catching_up_delays_no_other(
    settings: Settings, practice: PracticeServer
) -> None:
    slowly = settings.model_copy(update={"catch_up_gap": 2 * PATIENCE})
    async with opened(slowly, practice) as engine:
        late = [await engine.post("facebook", title=f"Post {n}") for n in range(4)]
        for post in late:
            await outage(engine, post, 3)
        async with engine.worker():
            await engine.settled(late[0], "delivered")
            fresh = await engine.post("linkedin")
            await engine.settled(fresh, "delivered")
            waiting = [row.state for post in late[1:] for row in await engine.rows(post)]
    assert set(waiting) <= {"scheduled", "armed"}


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
    settings: Settings,
    practice: PracticeServer,
    clock: SetClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one = settings.model_copy(update={"worker_concurrency": 1})
    async with opened(one, practice, clock) as engine, engine.worker():
        before = keep_answer(monkeypatch, engine, "facebook")
        await engine.post("facebook")
        await asyncio.wait_for(before.there.wait(), PATIENCE)
        deadline = clock.now() + timedelta(minutes=1)
        post = await engine.post("facebook", deadline=deadline.isoformat())
        await engine.settled(post, "armed")
        clock.set(deadline + timedelta(seconds=1))
        before.given.set()
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


async def test_what_waited_for_the_end_of_a_pause_goes_out_in_its_order(
    early: Engine, clock: SetClock
) -> None:
    """By the times that its owner gave, whichever post was written first."""
    second = 1_000_000
    ends_at = clock.micros() + AHEAD * second
    async with early.services.database.write() as connection:
        await connection.execute(
            accounts.update()
            .where(accounts.c.id == early.accounts["facebook"])
            .values(
                paused_until=ends_at,
                pause_reason="throttled",
                updated_at=accounts.c.updated_at + 1,
            )
        )
    at = {n: moment(ends_at - (10 - n) * second).isoformat() for n in (7, 4, 2)}
    posts = {n: await early.post("facebook", title=f"{n}", at=at[n]) for n in at}
    async with early.worker():
        # Armed ahead of the end of the pause, not claimed and put off again and again until then.
        for post in posts.values():
            await early.until(post, lambda rows: (rows[0].state, rows[0].attempt) == ("armed", 2))
        clock.set(moment(ends_at))
        rows = {n: (await early.settled(posts[n], "delivered"))[0] for n in posts}
    assert sorted(rows, key=lambda n: rows[n].first_sent_at) == [2, 4, 7]
    assert min(row.first_sent_at for row in rows.values()) >= ends_at
    assert {row.attempt for row in rows.values()} == {2}


async def test_so_does_what_was_armed_before_the_pause(early: Engine) -> None:
    now = early.services.clock.now()
    deadline = (now + timedelta(hours=1)).isoformat()
    async with early.worker():
        post = await early.post("facebook", seconds=AHEAD, deadline=deadline)
        await early.settled(post, "armed")
        async with early.services.database.write() as connection:
            await connection.execute(
                accounts.update()
                .where(accounts.c.id == early.accounts["facebook"])
                .values(
                    paused_until=micros(now) + 2 * HOUR,
                    pause_reason="throttled",
                    updated_at=accounts.c.updated_at + 1,
                )
            )
        await early.comes_due(post)
        await early.settled(post, "rerouted", "delivered")
    assert early.ledger("facebook") == []
