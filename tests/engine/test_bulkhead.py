"""A platform that hangs keeps its own posts waiting, and nobody else's."""

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import select

from channels.sandbox.faults import Fault, FaultName
from channels.sandbox.server import PracticeServer
from scheduler import dispatch, reconcile
from scheduler.looking import ACCOUNT_PLACES
from scheduler.settings import Settings
from scheduler.store import claims
from scheduler.store.tables import attempts
from tests.engine.conftest import PATIENCE, Engine, opened

PLACES = 2


async def _hit(fault: Fault, times: int) -> None:
    """Wait until so many requests hang."""
    async with asyncio.timeout(PATIENCE):
        while True:
            if fault.seen >= times:
                return
            await asyncio.sleep(0.01)


async def test_a_hanging_platform_takes_no_place_of_another(
    settings: Settings, practice: PracticeServer
) -> None:
    hang = Fault(FaultName.HANG)
    practice.platforms["facebook"].faults.add(hang)
    tight = settings.model_copy(
        update={"worker_concurrency": PLACES, "send_timeout": 20, "lease": 30, "grace": 0}
    )
    async with opened(tight, practice) as engine, engine.worker():
        stuck = [await engine.post("facebook") for _ in range(PLACES + 1)]
        await _hit(hang, PLACES)
        free = await engine.post("linkedin")
        await engine.settled(free, "delivered")
        states = [row.state for post in stuck for row in await engine.rows(post)]
    assert states == ["armed"] * (PLACES + 1)
    assert hang.seen == PLACES


async def test_what_was_armed_behind_a_hanging_platform_is_given_back_at_the_end(
    settings: Settings, practice: PracticeServer, tmp_path: Path
) -> None:
    hang = Fault(FaultName.HANG)
    practice.platforms["facebook"].faults.add(hang)
    tight = settings.model_copy(update={"worker_concurrency": 1, "send_timeout": 20, "lease": 30})
    async with opened(tight, practice) as engine:
        async with engine.worker():
            posts = [await engine.post("facebook") for _ in range(3)]
            for post in posts:
                await engine.settled(post, "armed")
            await _hit(hang, 1)
        states = [row.state for post in posts for row in await engine.rows(post)]
    assert sorted(states) == ["armed", "scheduled", "scheduled"]
    assert len(list((tmp_path / "journal").glob("*.sent"))) == 1


async def test_what_is_stuck_leaves_room_to_arm_the_others(
    settings: Settings, practice: PracticeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = 8
    monkeypatch.setattr(dispatch, "MAX_ARMED", room)
    hang = Fault(FaultName.HANG)
    practice.platforms["facebook"].faults.add(hang)
    tight = settings.model_copy(
        update={"worker_concurrency": 1, "send_timeout": 20, "lease": 30, "grace": 0}
    )
    async with opened(tight, practice) as engine:
        stuck = [await engine.post("facebook") for _ in range(2 * room)]
        async with engine.worker():
            await _hit(hang, 1)
            free = [await engine.post("linkedin") for _ in range(room)]
            for post in free:
                await engine.settled(post, "delivered")
            states = [row.state for post in stuck for row in await engine.rows(post)]
    assert set(states) == {"armed", "scheduled"}
    assert hang.seen == 1


async def test_who_has_its_share_is_not_claimed(
    settings: Settings, practice: PracticeServer
) -> None:
    async with opened(settings, practice) as engine:
        await engine.post("facebook")
        database, now = engine.services.database, engine.services.clock.micros()
        account = engine.accounts["facebook"]
        for crowded, due in (
            (claims.Crowded(accounts=[account]), False),
            (claims.Crowded(adapters=["facebook"]), False),
            (claims.Crowded(accounts=["another"], adapters=["linkedin"]), True),
        ):
            assert await claims.any_due(database, now, crowded, now=now) is due
            claimed = await claims.claim_due(
                database, horizon=now, worker="w", token="t", lease_until=now, now=now,
                crowded=crowded,
            )  # fmt: skip
            assert [delivery.account_id for delivery in claimed] == [account] * due


async def _looked_for(engine: Engine, post: str) -> bool:
    """Whether a look for one of the post's deliveries has ended."""
    ids = [row.id for row in await engine.rows(post)]
    ended = select(attempts.c.id).where(
        attempts.c.delivery_id.in_(ids), attempts.c.action == "look"
    )
    async with engine.services.database.read() as connection:
        return (await connection.execute(ended)).first() is not None


async def test_a_platform_that_hangs_when_looked_at_keeps_no_other_look_waiting(
    settings: Settings, practice: PracticeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconcile, "PAGE", 2)  # and its doubts fill more than what is read at once
    practice.platforms["facebook"].faults.add(Fault(FaultName.HANG))
    hasty = settings.model_copy(update={"send_timeout": 0.3, "grace": 0})
    async with opened(hasty, practice) as engine, engine.worker():
        stuck = [await engine.post("facebook") for _ in range(ACCOUNT_PLACES + 3)]
        for post in stuck:
            await engine.settled(post, "unconfirmed")
        async with asyncio.timeout(PATIENCE):
            while True:
                looks = [row.looks for post in stuck for row in await engine.rows(post)]
                if sum(looks) == ACCOUNT_PLACES:
                    break
                await asyncio.sleep(0.01)
        engine.fault("linkedin", FaultName.ANSWER_LOST, times=1)
        doubtful = await engine.post("linkedin")
        await engine.settled(doubtful, "delivered")
        assert await _looked_for(engine, doubtful)
        assert not any([await _looked_for(engine, post) for post in stuck])
    assert len(engine.ledger("linkedin")) == 1
