"""A worker that is told to stop sends what is due in a moment, and gives the rest back at once; one
that starts is of use from its first moment."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest
from sqlalchemy import update

from channels.base import Channel
from channels.posts import Message
from channels.sandbox.faults import Fault, FaultName
from channels.sandbox.server import PracticeServer
from scheduler import dispatch
from scheduler.rendering import Renderer
from scheduler.roster import Roster
from scheduler.settings import Settings
from scheduler.store.tables import accounts
from scheduler.worker import Worker
from tests.engine.conftest import PATIENCE, Engine, opened

LONG = 20.0
LATER = 25.0


class Bell:
    """Heard by those who go on."""

    def __init__(self) -> None:
        self.rung = asyncio.Event()

    async def ring(self, due_at: int) -> None:
        self.rung.set()

    def listen(self, local: Callable[[], None]) -> None:
        """Nobody here."""


@pytest.fixture
def patient(settings: Settings) -> Settings:
    """Arms early, and has a long grace."""
    return settings.model_copy(
        update={
            "arm_ahead": 60, "send_timeout": 100, "lease": 120, "grace": LONG,
            "heartbeat_interval": 0.05, "worker_concurrency": 1,
        }
    )  # fmt: skip


async def _until(met: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not met():  # noqa: ASYNC110 -- a practice platform, and a worker's count
            await asyncio.sleep(0.01)


@asynccontextmanager
async def _stopping(worker: Worker) -> AsyncIterator[asyncio.Task[None]]:
    """It is told to stop; in the end without any grace that is left."""
    stop = asyncio.create_task(worker.dispatcher.stop(4 * PATIENCE))
    try:
        yield stop
    finally:
        await worker.dispatcher.stop(0)
        await stop


def _hanging(practice: PracticeServer) -> Fault:
    """Its next write is not answered."""
    hang = Fault(FaultName.HANG, times=1)
    practice.platforms["facebook"].faults.add(hang)
    return hang


async def test_what_is_due_in_a_moment_still_leaves_on_time(
    patient: Settings, practice: PracticeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatch, "LAST_STRETCH", PATIENCE)
    slow = patient.model_copy(update={"grace": 2 * PATIENCE})
    async with opened(slow, practice) as engine:
        async with engine.worker():
            post = await engine.post("facebook", "linkedin", seconds=1)
            await engine.until(post, lambda rows: all(row.state != "scheduled" for row in rows))
        rows = await engine.rows(post)
    assert [(row.state, row.attempt) for row in rows] == [("delivered", 1)] * 2


async def test_what_is_due_later_goes_back_while_a_send_is_still_under_way(
    patient: Settings, practice: PracticeServer
) -> None:
    bell, hang = Bell(), _hanging(practice)
    async with opened(patient, practice, doorbell=bell) as engine, engine.worker() as worker:
        later = await engine.post("facebook", "linkedin", seconds=LATER)
        await engine.settled(later, "armed", "armed")
        await engine.post("facebook")
        await _until(lambda: hang.seen == 1)
        bell.rung.clear()
        async with _stopping(worker) as stop:
            await engine.settled(later, "scheduled", "scheduled")
            await asyncio.wait_for(bell.rung.wait(), PATIENCE)
            assert worker.dispatcher.firing.in_flight == 1
            assert not stop.done()


async def test_another_worker_sends_what_has_no_room_here(
    patient: Settings, practice: PracticeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatch, "LAST_STRETCH", 2 * PATIENCE)  # its end gives all back anyway
    hang = _hanging(practice)
    async with opened(patient, practice) as engine, engine.worker() as worker:
        await engine.post("facebook")
        await _until(lambda: hang.seen == 1)
        behind = await engine.post("facebook")
        await engine.settled(behind, "armed")
        async with engine.worker():
            await _until(lambda: worker.dispatcher.sharing.workers == 2)
            async with _stopping(worker) as stop:
                (row,) = await engine.settled(behind, "delivered")
                assert worker.dispatcher.firing.in_flight == 1
                assert not stop.done()
    assert row.attempt == 2


async def test_a_broadcast_does_not_begin_any_more(
    patient: Settings, practice: PracticeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatch, "LAST_STRETCH", 2 * LATER)  # it is due within that
    slow = patient.model_copy(update={"grace": 4 * LATER})
    async with opened(slow, practice, connected={"messenger"}) as engine:
        async with engine.worker() as worker:
            post = await engine.post("messenger", seconds=LATER)
            await _until(lambda: worker.dispatcher.firing.load == 1)
        (row,) = await engine.rows(post)
    assert (row.state, row.attempt) == ("scheduled", 1)


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """While it is not set, rendering hangs."""
    gate, message = asyncio.Event(), Renderer.message

    async def behind(self: Renderer, *args: Any) -> Message:
        await gate.wait()
        return await message(self, *args)

    monkeypatch.setattr(Renderer, "message", behind)
    gate.set()
    return gate


async def test_a_round_that_hangs_keeps_nothing_that_was_armed_before(
    patient: Settings, practice: PracticeServer, gate: asyncio.Event
) -> None:
    async with opened(patient, practice) as engine, engine.worker() as worker:
        before = await engine.post("facebook", seconds=LATER)
        await _until(lambda: worker.dispatcher.firing.load == 1)
        gate.clear()
        in_hand = await engine.post("linkedin", seconds=LATER)
        await engine.settled(in_hand, "armed")
        async with _stopping(worker) as stop:
            await engine.settled(before, "scheduled")
            assert not stop.done()
            gate.set()
            await engine.settled(in_hand, "scheduled")


async def test_what_a_round_that_never_ends_has_in_hand_goes_back_too(
    patient: Settings, practice: PracticeServer, gate: asyncio.Event
) -> None:
    hasty = patient.model_copy(update={"grace": 0})
    async with opened(hasty, practice) as engine:
        async with engine.worker():
            gate.clear()
            post = await engine.post("linkedin", seconds=LATER)
            await engine.settled(post, "armed")
        (row,) = await engine.rows(post)
    assert row.state == "scheduled"


async def test_nothing_is_claimed_any_more(patient: Settings, practice: PracticeServer) -> None:
    async with opened(patient, practice) as engine, engine.worker() as worker:
        await worker.dispatcher.stop(1)
        post = await engine.post("facebook")
        worker.dispatcher.wake()
        (row,) = await engine.rows(post)
    assert (row.state, row.attempt) == ("scheduled", 0)


async def test_a_worker_that_runs_has_looked_for_what_is_due(
    settings: Settings, practice: PracticeServer
) -> None:
    async with opened(settings, practice) as engine:
        post = await engine.post("facebook")
        async with engine.worker():
            (row,) = await engine.rows(post)
    assert row.state in {"armed", "delivered"}


class _Asked(dict[str, Channel]):
    """The adapters that were loaded."""

    def __init__(self, registry: Mapping[str, Channel]) -> None:
        super().__init__()
        self._registry = registry

    def items(self) -> Any:
        """Of all there are: each is loaded."""
        self.update(self._registry)
        return super().items()


async def test_the_adapters_are_loaded_before_the_first_post(engine: Engine) -> None:
    services, asked = engine.services, _Asked(engine.services.registry)
    await Roster(services.database, asked, services.vault).warm_up()
    assert set(asked) == set(services.registry)


async def test_no_adapter_is_loaded_while_nobody_is_connected(
    settings: Settings, practice: PracticeServer
) -> None:
    async with opened(settings, practice) as engine:
        services, asked = engine.services, _Asked(engine.services.registry)
        async with services.database.write() as connection:
            await connection.execute(update(accounts).values(archived_at=1))
        await Roster(services.database, asked, services.vault).warm_up()
    assert not asked
