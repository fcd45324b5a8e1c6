"""What waits for a person goes on when the person has acted."""

from channels.sandbox.faults import FaultName
from scheduler.store import accounts
from tests.engine.conftest import Engine
from tests.engine.test_late import outage


async def resume(engine: Engine, channel: str) -> None:
    async with engine.services.database.write() as connection:
        await accounts.resume(connection, engine.accounts[channel], engine.services.clock.micros())


async def pause(engine: Engine, channel: str) -> None:
    async with engine.services.database.write() as connection:
        await accounts.pause(
            connection, engine.accounts[channel], None, engine.services.clock.micros()
        )


async def test_a_pause_by_hand_holds_and_resuming_publishes(engine: Engine) -> None:
    await pause(engine, "facebook")
    async with engine.worker():
        post = await engine.post("facebook")
        (held,) = await engine.settled(post, "held")
        assert held.hold_reason == "by-hand"
        await resume(engine, "facebook")
        await engine.settled(post, "delivered")
    assert len(engine.ledger("facebook")) == 1


async def test_a_probe_that_finds_the_page_well_does_not_end_a_pause_by_hand(
    engine: Engine,
) -> None:
    engine.fault("facebook", FaultName.TOKEN_DEAD)
    async with engine.worker() as worker:
        post = await engine.post("facebook")
        await engine.settled(post, "held")
        await pause(engine, "facebook")
        engine.mend("facebook")
        await worker.doctor.probe(engine.accounts["facebook"])
        await engine.until(post, lambda rows: rows[0].hold_reason == "by-hand")
    assert engine.ledger("facebook") == []


async def test_reconnecting_publishes_what_a_dead_token_held_and_ends_the_alert(
    engine: Engine,
) -> None:
    engine.fault("facebook", FaultName.TOKEN_DEAD)
    async with engine.worker():
        post = await engine.post("facebook")
        await engine.settled(post, "held")
        engine.mend("facebook")
        await resume(engine, "facebook")
        await engine.settled(post, "delivered")
    assert [alert.resolved_at is not None for alert in await engine.alerts()] == [True]
    assert len(engine.ledger("facebook")) == 1


async def test_resuming_does_not_publish_what_has_grown_stale_meanwhile(engine: Engine) -> None:
    await pause(engine, "facebook")
    async with engine.worker():
        stale = await engine.post("facebook", title="Open today", late_policy="ask", seconds=1)
        dropped = await engine.post("facebook", title="Today only", late_policy="drop", seconds=1)
        for post in (stale, dropped):
            await engine.settled(post, "held")
            await outage(engine, post, 6)
        await resume(engine, "facebook")
        (row,) = await engine.until(stale, lambda rows: rows[0].hold_reason == "late")
        await engine.settled(dropped, "failed")
    assert row.state == "held"
    assert engine.ledger("facebook") == []
