"""What fails beside a send, or just before it, loses nothing and sends nothing twice."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, text
from structlog.testing import capture_logs
from structlog.typing import EventDict

from channels.sandbox.faults import FaultName
from channels.sandbox.server import PracticeServer
from scheduler.settings import Settings
from scheduler.store.tables import accounts, attempts, deliveries
from tests.engine.conftest import AHEAD, PATIENCE, Engine, opened, unhurried
from tests.support.clocks import SetClock

SECOND = 1_000_000


@asynccontextmanager
async def without(engine: Engine, table: str) -> AsyncIterator[None]:
    """The database fails wherever it needs this table."""
    await _execute(engine, f"ALTER TABLE {table} RENAME TO {table}_away")
    try:
        yield
    finally:
        await _execute(engine, f"ALTER TABLE {table}_away RENAME TO {table}")


async def _execute(engine: Engine, statement: str) -> None:
    async with engine.services.database.write() as connection:
        await connection.execute(text(statement))


async def told(logs: list[EventDict], event: str, times: int = 1) -> None:
    """Once it was logged so many times."""
    async with asyncio.timeout(PATIENCE):
        while sum(line["event"] == event for line in logs) < times:  # noqa: ASYNC110 -- no event
            await asyncio.sleep(0.01)


async def sends(engine: Engine, delivery_id: str) -> list[Any]:
    statement = select(attempts).where(attempts.c.delivery_id == delivery_id)
    async with engine.services.database.read() as connection:
        return list((await connection.execute(statement)).all())


async def pause(engine: Engine, channel: str, seconds: float) -> None:
    until = engine.services.clock.micros() + int(seconds * SECOND)
    async with engine.services.database.write() as connection:
        await connection.execute(
            accounts.update()
            .where(accounts.c.id == engine.accounts[channel])
            .values(paused_until=until, pause_reason="throttled")
        )


async def test_a_failed_write_beside_a_send_under_way_sends_nothing_twice(
    early: Engine, clock: SetClock
) -> None:
    early.fault("linkedin", FaultName.SLOW, times=1, seconds=1)
    with capture_logs() as logs:
        async with early.worker():
            post = await early.post("facebook", "linkedin", seconds=AHEAD)
            await early.settled(post, "armed", "armed")
            await pause(early, "facebook", 2 * AHEAD)
            # Putting the paused one off writes an event: that is what fails now.
            async with without(early, "events"):
                await early.comes_due(post)
                await told(logs, "putting-off.failed")
            clock.ahead_us += AHEAD * SECOND
            await early.settled(post, "delivered", "delivered")
    assert len(early.ledger("linkedin")) == 1
    assert len(early.ledger("facebook")) == 1


async def test_what_a_failed_round_claimed_is_given_back_at_once(engine: Engine) -> None:
    post = await engine.post("facebook")
    async with AsyncExitStack() as stack:
        with capture_logs() as logs:
            async with without(engine, "posts"):
                await stack.enter_async_context(engine.worker())
                await told(logs, "arming.failed")
            (row,) = await engine.settled(post, "delivered")
    assert row.looks == 0
    assert row.cause == ""
    assert [attempt.action for attempt in await sends(engine, row.id)] == ["send"]


async def test_a_move_that_fails_at_first_writes_its_attempt_once(engine: Engine) -> None:
    engine.fault("facebook", FaultName.REJECTED, times=1)
    with capture_logs() as logs:
        async with engine.worker():
            async with without(engine, "routes"):
                post = await engine.post("facebook")
                await told(logs, "completion.failed", times=2)
            row, _ = await engine.settled(post, "rerouted", "delivered")
    assert [(one.action, one.stale) for one in await sends(engine, row.id)] == [("send", False)]


@contextmanager
def journals_full() -> Iterator[None]:
    """There is no room for another line in the journals that are open."""
    places = [
        int(link.name)
        for link in Path("/proc/self/fd").iterdir()
        if re.search(r"\.sent$", os.path.realpath(link))
    ]
    assert places
    full = os.open("/dev/full", os.O_WRONLY)
    kept = [os.dup(place) for place in places]
    try:
        for place in places:
            os.dup2(full, place)
        yield
    finally:
        for place, was in zip(places, kept, strict=True):
            os.dup2(was, place)
            os.close(was)
        os.close(full)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's /dev/full")
async def test_what_the_journal_cannot_name_does_not_leave(engine: Engine) -> None:
    with capture_logs() as logs:
        async with engine.worker():
            with journals_full():
                post = await engine.post("facebook")
                await told(logs, "journal.failed", times=2)
                assert engine.ledger("facebook") == []
            (row,) = await engine.settled(post, "delivered")
    assert row.looks == 0
    assert len(engine.ledger("facebook")) == 1


async def test_a_worker_frozen_between_look_and_send_looks_again(
    settings: Settings, practice: PracticeServer, clock: SetClock
) -> None:
    """The freeze: at the instant before the send begins, the clock goes on by more than a lease
    and somebody else has the delivery."""
    frozen = False
    async with opened(settings, practice, clock) as engine:

        async def freeze() -> None:
            nonlocal frozen
            if frozen:
                return
            frozen = True
            clock.ahead_us += 60 * SECOND
            async with engine.services.database.write() as connection:
                anothers = deliveries.update().values(token="another", lease_until=1 << 60)
                await connection.execute(anothers)

        with before_each_send(freeze), capture_logs() as logs:
            async with engine.worker():
                await engine.post("facebook")
                await told(logs, "look.again")
                await asyncio.sleep(0)
    assert frozen
    assert engine.ledger("facebook") == []


@contextmanager
def before_each_send(happens: Callable[[], Awaitable[None]]) -> Iterator[None]:
    """Between the making of a send's task and its first step."""

    async def held(work: Coroutine[Any, Any, Any]) -> Any:
        await happens()
        return await work

    def make(loop: asyncio.AbstractEventLoop, work: Any, **how: Any) -> asyncio.Task[Any]:
        if getattr(work, "__qualname__", "") == "Firing._send":  # generators that end have no name
            work = held(work)
        return asyncio.Task(work, loop=loop, **how)

    loop = asyncio.get_running_loop()
    loop.set_task_factory(make)
    try:
        yield
    finally:
        loop.set_task_factory(None)


@pytest.mark.parametrize("steps", range(0, 120, 30))
async def test_a_worker_that_ends_in_mid_round_gives_everything_back(
    settings: Settings, practice: PracticeServer, steps: int
) -> None:
    patient = unhurried(settings).model_copy(update={"grace": PATIENCE})
    async with opened(patient, practice) as engine:
        await _ends_in_mid_round(engine, steps)


async def _ends_in_mid_round(engine: Engine, steps: int) -> None:
    posts = [
        await engine.post("facebook", "linkedin", seconds=0.5, title=f"Day {n}") for n in range(3)
    ]
    async with engine.worker() as worker:
        for _ in range(steps):
            await asyncio.sleep(0)
        worker.dispatcher.wake()
    for post in posts:
        assert {row.state for row in await engine.rows(post)} <= {"scheduled", "delivered"}
    async with engine.worker():
        for post in posts:
            await engine.settled(post, "delivered", "delivered")
    assert len(engine.ledger("facebook")) == len(posts)
    async with engine.services.database.read() as connection:
        looks = (await connection.execute(select(deliveries.c.looks))).scalars().all()
    assert set(looks) == {0}
