"""What waits for a person goes on when the person has acted."""

import pytest
from sqlalchemy import update

from channels.sandbox.faults import FaultName
from scheduler.store import absences, accounts
from scheduler.store.tables import deliveries
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


@pytest.mark.parametrize("reason", ["suspected", "access-lost", "by-hand"])
async def test_what_is_held_for_an_account_that_is_well_goes_on(
    engine: Engine, reason: str
) -> None:
    """As a batch leaves it that read the account before it came back, and was committed after."""
    post = await engine.post("facebook")
    async with engine.services.database.write() as connection:
        await connection.execute(
            update(deliveries)
            .where(deliveries.c.post_id == post)
            .values(state="held", hold_reason=reason)
        )
    async with engine.worker():
        await engine.settled(post, "delivered")
    assert len(engine.ledger("facebook")) == 1


async def test_what_waits_for_a_person_or_for_its_page_is_no_stray(engine: Engine) -> None:
    asked = await engine.post("facebook", seconds=1)
    engine.fault("linkedin", FaultName.TOKEN_DEAD)
    async with engine.services.database.write() as connection:
        await connection.execute(
            update(deliveries)
            .where(deliveries.c.post_id == asked)
            .values(state="held", hold_reason="approval")
        )
    async with engine.worker():
        waiting = await engine.post("linkedin")
        await engine.settled(waiting, "held")
        now = engine.services.clock.micros()
        assert not await absences.release_strays(engine.services.database, now)
    for post in (asked, waiting):
        assert [row.state for row in await engine.rows(post)] == ["held"]
