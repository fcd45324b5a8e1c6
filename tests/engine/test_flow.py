"""From a post accepted to what stands on the platforms."""

from sqlalchemy import select

from channels.outcome import HealthStatus
from channels.sandbox.faults import FaultName
from channels.sandbox.server import PracticeServer
from scheduler.settings import Settings
from scheduler.store.db import Database
from scheduler.store.tables import deliveries, workers
from tests.engine.conftest import AHEAD, Engine, opened, unhurried


async def test_a_post_reaches_its_channels(engine: Engine) -> None:
    async with engine.worker():
        post = await engine.post("facebook", "linkedin", "blog")
        rows = await engine.settled(post, "delivered", "delivered", "delivered")
    assert all(row.remote_id and row.url for row in rows)
    assert len(engine.ledger("facebook")) == 1
    assert len(engine.ledger("linkedin")) == 1


async def test_what_takes_posts_in_can_be_closed_again(engine: Engine) -> None:
    await engine.post("facebook")
    for _ in range(2):
        await engine.services.intake.close()


async def test_waits_for_its_time_and_fires_then(early: Engine) -> None:
    async with early.worker():
        post = await early.post("facebook", seconds=AHEAD)
        await early.settled(post, "armed")
        assert early.ledger("facebook") == []
        await early.comes_due(post)
        (row,) = await early.settled(post, "delivered")
    assert row.first_sent_at >= row.due_at


async def test_a_lost_answer_is_looked_for_and_never_sent_again(engine: Engine) -> None:
    engine.fault("facebook", FaultName.ANSWER_LOST, times=1)
    async with engine.worker():
        post = await engine.post("facebook")
        (row,) = await engine.settled(post, "delivered")
    assert len(engine.ledger("facebook")) == 1
    assert "found on the platform" in row.cause


async def test_a_throttle_pauses_the_account_and_costs_no_try(engine: Engine) -> None:
    engine.fault("facebook", FaultName.THROTTLED, times=1, seconds=120)
    async with engine.worker():
        post = await engine.post("facebook")
        (row,) = await engine.until(
            post, lambda rows: rows[0].state == "scheduled" and rows[0].attempt == 1
        )
        after = await engine.post("facebook")
        (deferred,) = await engine.until(after, lambda rows: "paused" in rows[0].cause)
    account = await engine.account("facebook")
    assert (row.tries, deferred.tries) == (0, 0)
    assert row.due_at >= account.paused_until > deferred.created_at
    assert deferred.due_at >= account.paused_until
    assert engine.ledger("facebook") == []


async def test_a_dead_token_holds_the_post_and_tells_once(engine: Engine) -> None:
    engine.fault("facebook", FaultName.TOKEN_DEAD)
    async with engine.worker():
        first = await engine.post("facebook")
        await engine.settled(first, "held")
        second = await engine.post("facebook")
        await engine.settled(second, "held")
    account = await engine.account("facebook")
    assert (account.status, account.status_reason) == (HealthStatus.ACCESS_LOST, "token")
    (alert,) = await engine.alerts()
    assert alert.kind == "account.access-lost"
    assert engine.ledger("facebook") == []


async def test_a_vanished_page_sends_its_queue_by_the_other_road(engine: Engine) -> None:
    engine.fault("facebook", FaultName.PAGE_GONE)
    async with engine.worker():
        now = await engine.post("facebook", title="Today")
        later = await engine.post("facebook", title="Next week", seconds=7 * 24 * 3600)
        rows = await engine.until(
            now, lambda rows: [r.state for r in rows] == ["rerouted", "delivered"]
        )
        waiting = await engine.settled(later, "rerouted", "scheduled")
    assert rows[1].account_id == engine.accounts["blog"]
    assert rows[1].parent_id == rows[0].id
    assert waiting[1].due_at == waiting[0].due_at
    assert (await engine.account("facebook")).status == HealthStatus.VANISHED
    assert [alert.kind for alert in await engine.alerts()] == ["account.vanished"]
    assert engine.ledger("facebook") == []


async def test_a_cancelled_post_that_was_armed_is_not_sent(early: Engine) -> None:
    async with early.worker():
        post = await early.post("facebook", seconds=AHEAD)
        await early.settled(post, "armed")
        await cancel(early.services.database, post)
        other = await early.post("facebook", seconds=AHEAD, title="Another")
        await early.comes_due(other)
        await early.settled(other, "delivered")
    assert [text.splitlines()[0] for text in early.ledger("facebook")] == ["Another"]


async def cancel(database: Database, post_id: str) -> None:
    async with database.write() as connection:
        await connection.execute(
            deliveries.update()
            .where(deliveries.c.post_id == post_id)
            .values(state="cancelled", token=None)
        )


async def test_a_first_comment_follows_its_post_and_never_repeats_it(engine: Engine) -> None:
    async with engine.worker():
        post = await engine.post("facebook", first_comment="Opening hours below")
        await engine.settled(post, "delivered", "delivered")
    assert len(engine.ledger("facebook")) == 2


async def test_a_first_comment_waits_for_its_post_without_hurry(
    settings: Settings, practice: PracticeServer
) -> None:
    async with opened(unhurried(settings), practice) as engine, engine.worker():
        engine.fault("facebook", FaultName.SLOW, times=1, seconds=1.5)
        post = await engine.post("facebook", seconds=2, first_comment="Opening hours below")
        rows = await engine.settled(post, "delivered", "delivered")
    (main,) = [row for row in rows if row.part == "post"]
    (comment,) = [row for row in rows if row.part == "first-comment"]
    assert comment.first_sent_at >= main.finished_at
    waited = comment.first_sent_at - rows[0].created_at
    assert comment.attempt <= 3 + waited / 1_000_000  # claimed every two seconds or so
    assert comment.due_at <= main.finished_at + 3_000_000  # put off once more at most


async def test_a_worker_is_known_to_live_before_it_claims(engine: Engine) -> None:
    async with engine.worker() as worker, engine.services.database.read() as connection:
        assert worker.id in (await connection.execute(select(workers.c.id))).scalars().all()
