"""What is opened to Redis is closed again, whoever is cut off meanwhile, and whatever hangs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any, cast

import pytest
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from scheduler import lookout, redis_pool
from scheduler.clock import Clock
from scheduler.dispatch import Dispatcher
from scheduler.ending import end
from scheduler.queue import ArqDoorbell
from scheduler.redis_pool import open_pool, pool_of
from scheduler.settings import Settings
from scheduler.ticks import Ticks

_PATIENCE = 30


class Mute:
    """Takes every connection and answers nothing; when it is `rude`, it does not even read."""

    def __init__(self) -> None:
        self.rude = False
        self.opened = asyncio.Event()
        self._ended: list[asyncio.Event] = []
        self._lines: list[asyncio.StreamWriter] = []
        self.url = ""

    async def hold(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ended = asyncio.Event()
        self._ended.append(ended)
        self._lines.append(writer)
        if self.rude:
            writer.write(b"+OK\r\n" * 2)  # to what redis-py says of itself
            writer.transport.pause_reading()  # type: ignore[attr-defined]
        self.opened.set()
        try:
            while await reader.read(65536):
                pass
        except ConnectionError:
            pass
        ended.set()

    async def all_ended(self) -> int:
        """How many there were, once the other side has ended every one."""
        async with asyncio.timeout(_PATIENCE):
            for line in self._lines:
                line.transport.resume_reading()  # type: ignore[attr-defined]
            for ended in self._ended:
                await ended.wait()
        return len(self._ended)


@pytest.fixture
async def mute() -> AsyncIterator[Mute]:
    mute = Mute()
    server = await asyncio.start_server(mute.hold, "127.0.0.1", 0)
    mute.url = f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0"
    yield mute
    server.close()
    for line in mute._lines:
        line.transport.abort()


async def test_a_bell_that_is_put_away_while_it_connects(mute: Mute) -> None:
    settings = Settings(redis_url=mute.url)
    bell = ArqDoorbell(mute.url, settings, Clock(), arm_ahead=settings.arm_ahead)
    await bell.ring(Clock().micros())
    await mute.opened.wait()
    await bell.close()
    assert await mute.all_ended()


async def test_a_worker_that_stops_while_arq_connects(mute: Mute) -> None:
    dispatcher = cast("Dispatcher", SimpleNamespace(wake=None))
    ticking = asyncio.create_task(Ticks(mute.url, Settings(redis_url=mute.url), dispatcher).run())
    await mute.opened.wait()
    assert await end([ticking])
    assert await mute.all_ended()


async def test_a_look_that_is_given_up(mute: Mute, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookout, "ANSWER_WITHIN", 0.1)
    assert await lookout.unwell(mute.url, Settings(redis_url=mute.url)) == "TimeoutError"
    assert await mute.all_ended()


async def test_whoever_is_cut_off_while_it_opens(mute: Mute) -> None:
    opening = asyncio.create_task(open_pool(mute.url, Settings(redis_url=mute.url)))
    await mute.opened.wait()
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    assert await mute.all_ended()


async def test_closing_waits_for_nothing_that_is_still_to_be_taken(
    mute: Mute, monkeypatch: pytest.MonkeyPatch
) -> None:
    mute.rude = True
    monkeypatch.setattr(redis_pool, "_patience", lambda: Retry(NoBackoff(), 0))
    pool = pool_of(mute.url, Settings(redis_url=mute.url))
    large = asyncio.ensure_future(pool.set("large", b"x" * 50_000_000))
    await mute.opened.wait()
    line: Any = next(iter(pool.connection_pool._in_use_connections))
    async with asyncio.timeout(_PATIENCE):
        while not line.is_connected or not line._writer.transport.get_write_buffer_size():  # noqa: ASYNC110
            await asyncio.sleep(0)
    await pool.aclose()
    with pytest.raises(RedisError):
        await large
    assert await mute.all_ended()
