"""The requests at once that an account takes are those of all workers together, whoever comes and
goes: real workers, both databases, and a platform that counts."""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from pydantic import SecretStr, ValidationError
from sqlalchemy import select, update

from channels.sandbox.faults import Fault, FaultName
from channels.sandbox.server import PracticeServer
from scheduler.clock import Clock
from scheduler.settings import Settings
from scheduler.store import accounts as account_store
from scheduler.store import claims
from scheduler.store.tables import accounts, attempts, deliveries
from scheduler.worker import Worker
from tests.engine.conftest import PATIENCE, Engine, opened, unhurried

KEY = Fernet.generate_key().decode()


class Skipping(Clock):
    """Its monotonic time may skip: the machine slept."""

    slept = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.slept


@pytest.fixture
def quick(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Workers hear of each other soon, and claim little at a time, so that each has some."""
    monkeypatch.setattr(claims, "CHUNK", 2)
    return unhurried(settings).model_copy(
        update={
            "heartbeat_interval": 0.3, "secret_keys": [SecretStr(KEY)],
        }
    )  # fmt: skip


async def _until(met: Callable[[], bool]) -> None:
    async with asyncio.timeout(2 * PATIENCE):
        while not met():  # noqa: ASYNC110 -- a practice platform, and workers' counts
            await asyncio.sleep(0.02)


async def _set(engine: Engine, **values: int) -> None:
    """Of all accounts."""
    async with engine.services.database.write() as connection:
        await connection.execute(
            update(accounts).values(updated_at=accounts.c.updated_at + 1, **values)
        )


async def _senders(engine: Engine) -> list[str]:
    """By which worker each attempt was made, oldest first."""
    statement = select(attempts.c.worker).where(attempts.c.action == "send")
    async with engine.services.database.read() as connection:
        return list(await connection.scalars(statement.order_by(attempts.c.started_at)))


@asynccontextmanager
async def _workers(engine: Engine, count: int) -> AsyncIterator[Sequence[Worker]]:
    """So many, who know of each other."""
    async with AsyncExitStack() as stack:
        found = [await stack.enter_async_context(engine.worker()) for _ in range(count)]
        await _until(lambda: all(_knows(worker, count) for worker in found))
        yield found


def _knows(worker: Worker, count: int) -> bool:
    sharing = worker.dispatcher.sharing
    return sharing.settled and sharing.workers == count


async def test_twelve_workers_send_five_at_once_and_no_more(
    quick: Settings, practice: PracticeServer
) -> None:
    practice.platforms["facebook"].faults.add(Fault(FaultName.SLOW, seconds=0.2))
    async with opened(quick, practice) as engine, _workers(engine, 12):
        await _set(engine, max_concurrent=5)
        posts = [await engine.post("facebook", title=f"Post {n}", seconds=3) for n in range(40)]
        for post in posts:
            await engine.settled(post, "delivered")
        assert max(practice.rush.most.values()) <= 5
        assert len(engine.ledger("facebook")) == len(posts)
        assert len(set(await _senders(engine))) <= 5


async def test_all_places_are_used(quick: Settings, practice: PracticeServer) -> None:
    hang = Fault(FaultName.HANG)
    practice.platforms["facebook"].faults.add(hang)
    hasty = quick.model_copy(update={"grace": 0})
    async with opened(hasty, practice) as engine:
        await _set(engine, max_concurrent=5)
        async with _workers(engine, 3) as workers:
            for number in range(30):
                await engine.post("facebook", title=f"Post {number}", seconds=3600)
            # All at once, so that no worker has claimed them before the others look.
            soon = engine.services.clock.micros() + 2_000_000
            async with engine.services.database.write() as connection:
                await connection.execute(update(deliveries).values(due_at=soon, planned_at=soon))
            for worker in workers:
                worker.dispatcher.wake()
            await _until(lambda: hang.seen == 5)  # two, two and one
            elsewhere = await engine.post("linkedin")
            await engine.settled(elsewhere, "delivered")
            assert hang.seen == 5


@pytest.mark.parametrize("down", [True, False])
async def test_one_of_three_workers_lets_one_through_after_failures(
    quick: Settings, practice: PracticeServer, *, down: bool
) -> None:
    several = quick.model_copy(update={"breaker_failures": 2, "breaker_pause": 600})
    async with opened(several, practice) as engine:
        if down:
            engine.fault("linkedin", FaultName.SERVER_ERROR)
        await _set(engine, failures=2)
        async with _workers(engine, 3) as workers:
            posts = [await engine.post("linkedin", title=f"Post {n}") for n in range(12)]
            for post in posts:
                await engine.until(
                    post,
                    lambda rows: (
                        rows[0].attempt > 0
                        and rows[0].state in {"scheduled", "delivered", "unconfirmed"}
                    ),
                )
            # Those put back wait for the end of the rest: nobody tried another.
            senders = await _senders(engine)
            assert len(senders) == (1 if down else len(posts))
            assert sum("linkedin" in _holds(engine, each) for each in workers) == 1


def _holds(engine: Engine, worker: Worker) -> set[str]:
    """The channels whose account, taking one at a time, is this worker's."""
    sharing = worker.dispatcher.sharing
    return {name for name, id_ in engine.accounts.items() if sharing.places(id_, 1)}


@asynccontextmanager
async def _process(settings: Settings, directory: Path) -> AsyncIterator[Process]:
    """A worker of its own, that may be killed."""
    named = {
        "DATA_DIR": str(directory), "DATABASE_URL": settings.effective_database_url,
        "REDIS_URL": "none", "PRIVATE_ADDRESSES_OK": "true", "SECRET_KEYS": KEY,
        "HEARTBEAT_INTERVAL": str(settings.heartbeat_interval),
        "WORKER_DEAD_AFTER": str(settings.worker_dead_after),
    }  # fmt: skip
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.chaos.child", "worker",
        env={**os.environ, **{f"ESTAFETTE_{name}": value for name, value in named.items()}},
        stdout=PIPE,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        await process.stdout.readline()
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def _page(engine: Engine) -> str:
    """One page more, which takes one at a time; its name."""
    services = engine.services
    channel = services.registry["facebook"]
    values = next(
        each.settings for each in engine.practice.accounts() if each.adapter == "facebook"
    )
    name = f"page {len(engine.accounts)}"
    async with services.database.write() as connection:
        id_ = await account_store.connect(
            connection, services.vault, channel=channel, name=name,
            settings=channel.settings_type.model_validate(dict(values)),
            now=services.clock.micros(),
        )  # fmt: skip
        await connection.execute(
            update(accounts).where(accounts.c.id == id_).values(max_concurrent=1)
        )
    engine.accounts[name] = id_  # type: ignore[index]
    return name


async def _another_s(engine: Engine, worker: Worker) -> str:
    """A page that is another worker's; its name."""
    while (name := await _page(engine)) in _holds(engine, worker):
        pass
    return name


async def test_the_places_of_a_killed_worker_pass_on(
    quick: Settings, practice: PracticeServer, tmp_path: Path
) -> None:
    clock = Skipping()
    async with (
        opened(quick, practice, clock=clock) as engine,
        engine.worker() as stays,
        _process(quick, tmp_path / "other") as other,
    ):
        await _until(lambda: _knows(stays, 2))
        theirs = await _another_s(engine, stays)
        # Whoever heard of no account yet asks it whom it is for.
        first = await engine.post(theirs, title="While it lives")
        await engine.settled(first, "delivered")
        assert stays.id not in await _senders(engine)
        other.kill()
        await other.wait()
        async with asyncio.timeout(PATIENCE):
            while not _knows(stays, 1):
                clock.slept += quick.worker_dead_after / 2  # too short to be missed ourselves
                await stays._duties.beat()
        second = await engine.post(theirs, title="After its end")
        await engine.settled(second, "delivered")
        assert (await _senders(engine))[-1] == stays.id


async def test_whoever_starts_where_a_worker_was_killed_says_that_it_is_dead(
    quick: Settings, practice: PracticeServer, tmp_path: Path
) -> None:
    """Else one that is killed and started again and again keeps the places of many dead."""
    async with opened(quick, practice) as engine, engine.worker() as stays:
        async with _process(quick, tmp_path / "other") as other:
            await _until(lambda: _knows(stays, 2))
            theirs = await _another_s(engine, stays)
            other.kill()
            await other.wait()
        async with _process(quick, tmp_path / "other"):
            post = await engine.post(theirs, title="After its end")
            await engine.settled(post, "delivered")
            await _until(lambda: _knows(stays, 2))


async def test_a_worker_that_stops_hands_on_its_places_while_it_still_sends(
    quick: Settings, practice: PracticeServer
) -> None:
    hang = Fault(FaultName.HANG, times=1)
    practice.platforms["facebook"].faults.add(hang)
    async with opened(quick, practice) as engine, _workers(engine, 2) as (one, two):
        theirs = await _another_s(engine, one)
        await engine.post(theirs, title="Hangs")
        await _until(lambda: hang.seen == 1)
        behind = await engine.post(theirs, title="Behind it")
        stop = asyncio.create_task(two.dispatcher.stop(4 * PATIENCE))
        try:
            await engine.settled(behind, "delivered")
            assert two.dispatcher.firing.in_flight == 1
            assert not stop.done()
        finally:
            await two.dispatcher.stop(0)
            await stop


async def test_what_waits_for_its_time_goes_back_when_its_place_becomes_another_s(
    quick: Settings, practice: PracticeServer
) -> None:
    early = quick.model_copy(update={"arm_ahead": 60})
    async with opened(early, practice) as engine, engine.worker() as one:
        pages = [await _page(engine) for _ in range(8)]
        post = await engine.post(*pages, seconds=40)
        await engine.settled(post, *["armed"] * len(pages))
        async with engine.worker() as two:
            await _until(lambda: _knows(two, 2))
            whose = {
                engine.accounts[page]: one.id if page in _holds(engine, one) else two.id
                for page in pages
            }
            await engine.until(
                post, lambda rows: {row.account_id: row.worker for row in rows} == whose
            )


async def test_one_that_others_may_have_missed_sends_nothing_until_it_said_that_it_lives(
    quick: Settings, practice: PracticeServer
) -> None:
    clock = Skipping()
    rare = quick.model_copy(update={"heartbeat_interval": 3600, "worker_dead_after": 7200})
    async with opened(rare, practice, clock=clock) as engine, engine.worker() as worker:
        clock.slept = 7200
        post = await engine.post("facebook")
        await engine.settled(post, "armed")
        looked = worker.dispatcher.firing._lanes
        await _until(lambda: len(looked) == 1)
        assert engine.ledger("facebook") == []
        await worker._duties.beat()
        await engine.settled(post, "delivered")


def test_a_sign_of_life_comes_before_its_absence_means_death() -> None:
    with pytest.raises(ValidationError, match="heartbeat_interval must be shorter"):
        Settings(heartbeat_interval=10, worker_dead_after=10)
