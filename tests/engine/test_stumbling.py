"""What ends by an error that nobody foresaw is begun again: a worker that lives does its work."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from channels.base import Account
from channels.outcome import Delivered, Outcome
from channels.posts import Message
from channels.sandbox.faults import FaultName
from channels.sandbox.server import PracticeServer
from scheduler.completion import Completer
from scheduler.dispatch import Dispatcher
from scheduler.firing import Firing
from scheduler.reconcile import Reconciler
from scheduler.settings import Settings
from scheduler.store import completions
from scheduler.timer import Timer
from scheduler.worker import Worker
from tests.engine.conftest import PATIENCE, Engine, opened


def _stumble(
    monkeypatch: pytest.MonkeyPatch, owner: type, name: str, error: type[BaseException]
) -> asyncio.Event:
    """This method fails once; set when it has."""
    work, seen = getattr(owner, name), asyncio.Event()

    def once(*args: Any) -> Any:
        if seen.is_set():
            return work(*args)
        seen.set()
        raise error

    monkeypatch.setattr(owner, name, once)
    return seen


@pytest.mark.parametrize("error", [MemoryError, asyncio.CancelledError])
@pytest.mark.parametrize(
    ("owner", "name"),
    [(Timer, "due"), (Firing, "_fire"), (Dispatcher, "_arm"), (Completer, "_write"),
     (Reconciler, "begin")],
)  # fmt: skip
async def test_a_loop_that_stumbles_goes_on(
    engine: Engine, owner: type, name: str, error: type[BaseException],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    async with engine.worker():
        seen = _stumble(monkeypatch, owner, name, error)
        await engine.post("facebook", seconds=0.5)
        async with asyncio.timeout(PATIENCE):
            await seen.wait()
        engine.fault("facebook", FaultName.ANSWER_LOST, times=1)
        after = await engine.post("facebook", seconds=1.5, title="And again")
        await engine.settled(after, "delivered")
    assert len(engine.ledger("facebook")) == len(set(engine.ledger("facebook")))


async def _cut_off() -> None:
    future = asyncio.get_running_loop().create_future()
    future.cancel()
    await future


async def _deaf() -> None:
    """Hears no cancellation for longer than a lease."""
    loop = asyncio.get_running_loop()
    ends_at = loop.time() + PATIENCE
    while (left := ends_at - loop.time()) > 0:
        try:
            await asyncio.sleep(left)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            assert task is not None
            if task.cancelling() > 1:  # the end of the test
                raise


@pytest.mark.parametrize("how", [_cut_off, _deaf])
async def test_a_send_whose_adapter_stumbles_is_looked_for(
    settings: Settings,
    practice: PracticeServer,
    how: Callable[[], Awaitable[None]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hasty = settings.model_copy(update={"send_timeout": 0.5, "lease": 2, "grace": 0})
    async with opened(hasty, practice) as engine:
        channel: Any = type(engine.services.registry["facebook"])
        send = channel.send
        stumbled: list[str] = []

        async def sends(self: Any, message: Message, account: Account[Any], *, key: str) -> Outcome:
            outcome: Outcome = await send(self, message, account, key=key)
            if not stumbled:
                stumbled.append(key)
                await how()
            return outcome

        monkeypatch.setattr(channel, "send", sends)
        async with engine.worker():
            post = await engine.post("facebook")
            (row,) = await engine.settled(post, "delivered")
    assert "found on the platform" in row.cause
    assert len(engine.ledger("facebook")) == 1


async def test_a_broadcast_that_could_not_begin_begins_in_a_moment(
    settings: Settings, practice: PracticeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = completions.mark_sending
    tried: list[Any] = []

    async def fails_once(*args: Any, **how: Any) -> bool:
        tried.append(args)
        if len(tried) == 1:
            raise OSError("the database is away")
        return await mark(*args, **how)

    async def told(*_args: Any, **_how: Any) -> Outcome:
        return Delivered(remote_id="mailing")

    monkeypatch.setattr("scheduler.firing.mark_sending", fails_once)
    async with opened(settings, practice, connected={"messenger"}) as engine:
        worker = Worker(engine.services, redis_url=None, broadcast=told)
        async with worker.running():
            post = await engine.post("messenger")
            (row,) = await engine.settled(post, "delivered")
        assert (row.attempt, worker._journal.in_doubt) == (1, False)
