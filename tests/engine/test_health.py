"""Health of accounts: each trouble has its own status, and no other."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import select

from channels.outcome import HealthStatus
from channels.sandbox.faults import FaultName
from scheduler.care import doctor_of
from scheduler.decide import SECOND
from scheduler.ending import end
from scheduler.store.accounts import pause as pause_by_hand
from scheduler.store.tables import accounts, events
from tests.engine.conftest import AHEAD, PATIENCE, Engine
from tests.support.clocks import SetClock

S = HealthStatus


async def probe(engine: Engine) -> Any:
    await doctor_of(engine.services, "tests").probe(engine.accounts["facebook"])
    return await engine.account("facebook")


async def seen(engine: Engine, kind: str) -> list[dict[str, Any]]:
    """The data of the account's events of this kind."""
    statement = select(events.c.data).where(
        events.c.kind == kind, events.c.account_id == engine.accounts["facebook"]
    )
    async with engine.services.database.read() as connection:
        return list((await connection.execute(statement)).scalars())


@pytest.mark.parametrize(
    ("fault", "status", "reason"),
    [
        (FaultName.TOKEN_DEAD, S.ACCESS_LOST, "token"),
        (FaultName.PERMISSION_LOST, S.ACCESS_LOST, "permission"),
        (FaultName.ROLE_LOST, S.ACCESS_LOST, "role"),
        (FaultName.SERVER_ERROR, S.PLATFORM_DOWN, ""),
        (FaultName.UNPUBLISHED, S.VANISHED, ""),
        (FaultName.PAGE_GONE, S.VANISHED, ""),
        (FaultName.PHONE_ONLY, S.DEGRADED, ""),
    ],
)
async def test_each_trouble_has_its_own_status_and_no_other(
    engine: Engine, fault: FaultName, status: HealthStatus, reason: str
) -> None:
    assert (await probe(engine)).status == S.HEALTHY
    engine.fault("facebook", fault)
    await probe(engine)
    await asyncio.sleep(engine.services.settings.confirm_gone_after)
    account = await probe(engine)
    assert (account.status, account.status_reason) == (status, reason)
    engine.mend("facebook")
    account = await probe(engine)
    assert (account.status, account.paused_until) == (S.HEALTHY, None)


async def test_a_page_that_only_phones_see_is_told_once_with_its_evidence(engine: Engine) -> None:
    engine.fault("facebook", FaultName.PHONE_ONLY)
    await probe(engine)
    await probe(engine)
    (data,) = await seen(engine, "account.degraded")
    assert {visit["browser"]: visit["status"] for visit in data["visits"]} == {
        "desktop": 404,
        "phone": 200,
    }
    (alert,) = await engine.alerts()
    assert (alert.kind, alert.count) == ("account.degraded", 1)
    async with engine.worker():
        await engine.settled(await engine.post("facebook"), "delivered")
    engine.mend("facebook")
    await probe(engine)
    (alert,) = await engine.alerts()
    assert alert.resolved_at is not None


async def test_one_bad_probe_never_starts_plan_b(engine: Engine) -> None:
    post = await engine.post("facebook", seconds=3600)
    engine.fault("facebook", FaultName.PAGE_GONE)
    account = await probe(engine)
    assert (account.status, account.pause_reason) == (S.HEALTHY, "suspected")
    engine.mend("facebook")
    await asyncio.sleep(engine.services.settings.confirm_gone_after)
    account = await probe(engine)
    assert (account.status, account.paused_until) == (S.HEALTHY, None)
    assert [row.state for row in await engine.rows(post)] == ["scheduled"]


async def test_a_platform_that_is_down_between_two_looks_confirms_nothing(engine: Engine) -> None:
    post = await engine.post("facebook", seconds=3600)
    engine.fault("facebook", FaultName.PAGE_GONE)
    await probe(engine)
    engine.mend("facebook")
    engine.fault("facebook", FaultName.SERVER_ERROR)
    await asyncio.sleep(engine.services.settings.confirm_gone_after)
    account = await probe(engine)
    assert account.suspected_at is not None
    assert account.status == S.HEALTHY
    assert [row.state for row in await engine.rows(post)] == ["scheduled"]


async def test_an_owner_may_ask_for_a_longer_confirmation(engine: Engine) -> None:
    async with engine.services.database.write() as connection:
        await connection.execute(
            accounts.update()
            .where(accounts.c.id == engine.accounts["facebook"])
            .values(policy={"confirm_gone_after": 3600})
        )
    engine.fault("facebook", FaultName.PAGE_GONE)
    await probe(engine)
    await asyncio.sleep(engine.services.settings.confirm_gone_after)
    assert (await probe(engine)).status == S.HEALTHY


async def test_a_page_that_vanishes_in_mid_flight_loses_and_doubles_nothing(
    early: Engine, clock: SetClock
) -> None:
    titles = [f"Post {n}" for n in range(12)]
    times = [1 + 0.15 * n for n in range(11)] + [AHEAD]
    early.fault("facebook", FaultName.SLOW, seconds=0.1)
    async with early.worker():
        posts = [
            await early.post("facebook", title=title, seconds=seconds)
            for title, seconds in zip(titles, times, strict=True)
        ]
        await early.settled(posts[2], "delivered")
        early.fault("facebook", FaultName.PAGE_GONE)
        clock.ahead_us += AHEAD * SECOND
        rows = [
            await early.until(post, lambda rows: rows[-1].state == "delivered" and len(rows) < 3)
            for post in posts
        ]
    there = [text.splitlines()[0] for text in early.ledger("facebook")]
    elsewhere = [title for title, legs in zip(titles, rows, strict=True) if len(legs) == 2]
    assert elsewhere, "the page vanished before the last of them"
    assert sorted(there + elsewhere) == sorted(titles)


async def test_a_post_for_a_vanished_page_takes_the_other_road_at_once(engine: Engine) -> None:
    engine.fault("facebook", FaultName.PAGE_GONE)
    async with engine.worker():
        first = await engine.post("facebook")
        await engine.settled(first, "rerouted", "delivered")
        later = await engine.post("facebook", seconds=3600)
        await engine.settled(later, "rerouted", "scheduled")
        async with asyncio.timeout(PATIENCE):
            while True:
                (alert,) = await engine.alerts()
                if alert.data.get("moved") == {"rerouted": 2}:
                    break
                await asyncio.sleep(0.02)
    assert alert.count == 1


async def test_a_page_that_returns_stays_paused_if_a_person_paused_it(engine: Engine) -> None:
    async with engine.services.database.write() as connection:
        await pause_by_hand(connection, engine.accounts["facebook"], None, 1)
    engine.fault("facebook", FaultName.PAGE_GONE)
    await probe(engine)
    await asyncio.sleep(engine.services.settings.confirm_gone_after)
    assert (await probe(engine)).status == S.VANISHED
    engine.mend("facebook")
    account = await probe(engine)
    assert (account.status, account.pause_reason) == (S.HEALTHY, "by hand")


async def test_a_page_that_stays_partly_visible_is_told_once(engine: Engine) -> None:
    engine.fault("facebook", FaultName.PHONE_ONLY)
    await probe(engine)
    engine.fault("facebook", FaultName.SERVER_ERROR)
    assert (await probe(engine)).status == S.PLATFORM_DOWN
    engine.practice.platforms["facebook"].faults.clear(FaultName.SERVER_ERROR)
    assert (await probe(engine)).status == S.DEGRADED
    assert [alert.kind for alert in await engine.alerts()] == ["account.degraded"]


async def test_each_account_is_looked_at_as_often_as_its_owner_says(engine: Engine) -> None:
    services = engine.services
    for channel in ("facebook", "linkedin"):
        await doctor_of(services, "tests").probe(engine.accounts[channel])
    before = {channel: (await engine.account(channel)) for channel in ("facebook", "linkedin")}
    async with services.database.write() as connection:
        await connection.execute(
            accounts.update()
            .where(accounts.c.id == engine.accounts["facebook"])
            .values(policy={"probe_interval": 30})
        )
        await connection.execute(
            accounts.update().values(checked_at=accounts.c.checked_at - 60 * SECOND)
        )
    await doctor_of(services, "tests").look_at_everyone()
    assert (await engine.account("facebook")).checked_at > before["facebook"].checked_at
    assert (await engine.account("linkedin")).checked_at < before["linkedin"].checked_at


async def test_a_platform_that_hangs_keeps_no_other_platforms_probes_waiting(
    engine: Engine,
) -> None:
    copies = [(f"hangs-{number}", "facebook") for number in range(6)] + [("last", "linkedin")]
    for name, channel in copies:
        row = (await engine.account(channel))._asdict()
        async with engine.services.database.write() as connection:
            await connection.execute(accounts.insert().values({**row, "id": name}))
    engine.fault("facebook", FaultName.HANG)
    probing = asyncio.create_task(doctor_of(engine.services, "tests").look_at_everyone())
    statement = select(accounts.c.id, accounts.c.checked_at).order_by(accounts.c.id)
    async with asyncio.timeout(PATIENCE):
        while True:
            async with engine.services.database.read() as connection:
                looked = {row.id: row.checked_at for row in await connection.execute(statement)}
            if looked["last"] is not None:
                break
            await asyncio.sleep(0.02)
    assert [looked[name] for name, channel in copies if channel == "facebook"] == [None] * 6
    await end([probing])
