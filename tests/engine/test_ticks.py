"""Arq's loop beside the dispatcher outlives its Redis."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from structlog.testing import capture_logs

from scheduler import queue, redis_pool, ticks
from scheduler.clock import Clock
from scheduler.dispatch import Dispatcher
from scheduler.ending import end
from scheduler.queue import ArqDoorbell
from scheduler.redis_pool import QUEUE
from scheduler.settings import Settings
from tests.support.servers import redis_server


@pytest.fixture
def home(short_dir: Path) -> Path:
    home = short_dir / "ticks"
    home.mkdir(exist_ok=True)
    return home


async def test_hears_the_bell_again_once_redis_is_back(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Else it takes a minute to find out that Redis is gone.
    monkeypatch.setattr(redis_pool, "_patience", lambda: Retry(NoBackoff(), 1))
    settings = Settings(redis_url=f"unix://{home / 'redis.sock'}")
    rung = asyncio.Event()
    dispatcher = cast("Dispatcher", SimpleNamespace(wake=rung.set))
    work: Any = ticks.Ticks(settings.redis_url, settings, dispatcher).run()
    bell = ArqDoorbell(settings.redis_url, settings, Clock(), arm_ahead=settings.arm_ahead)
    with ExitStack() as first, capture_logs() as logs:
        first.enter_context(redis_server(home))
        task = asyncio.create_task(work)
        async with asyncio.timeout(30):
            await bell.ring(Clock().micros())
            await rung.wait()
            await asyncio.to_thread(first.close)
            while not any(line["event"] == "redis.lost" for line in logs):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
    rung.clear()
    with redis_server(home):
        async with asyncio.timeout(30):
            while not rung.is_set():
                await bell.ring(Clock().micros())
                await asyncio.sleep(0.2)
        assert not task.done()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await bell.close()


async def test_what_was_rung_just_before_the_end_is_heard(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue, "_CLOSES_WITHIN", 30.0)
    with redis_server(home) as url:
        settings = Settings(redis_url=url)
        bell = ArqDoorbell(url, settings, Clock(), arm_ahead=settings.arm_ahead)
        await bell.ring(Clock().micros())
        await bell.close()
        async with Redis.from_url(url) as redis:
            assert await redis.zcard(QUEUE) == 1


async def test_hears_the_bell_again_after_what_is_no_job(home: Path) -> None:
    rung = asyncio.Event()
    dispatcher = cast("Dispatcher", SimpleNamespace(wake=rung.set))
    with redis_server(home) as url:
        settings = Settings(redis_url=url)
        async with Redis.from_url(url) as redis:
            await redis.zadd(QUEUE, {b"\xff\xfe": 1})
            task = asyncio.create_task(ticks.Ticks(url, settings, dispatcher).run())
            bell = ArqDoorbell(url, settings, Clock(), arm_ahead=settings.arm_ahead)
            with capture_logs() as logs:
                async with asyncio.timeout(30):
                    while not any(line["event"] == "ticks.failed" for line in logs):  # noqa: ASYNC110
                        await asyncio.sleep(0.01)
            await redis.zrem(QUEUE, b"\xff\xfe")
            async with asyncio.timeout(30):
                await bell.ring(Clock().micros())
                await rung.wait()
        await end([task])
        await bell.close()


async def test_a_bell_that_stumbles_rings_again(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with redis_server(home) as url:
        settings = Settings(redis_url=url)
        bell = ArqDoorbell(url, settings, Clock(), arm_ahead=settings.arm_ahead)
        opened, tried = redis_pool.open_pool, []

        async def stumbles_once(*how: Any) -> Any:
            tried.append(how)
            if len(tried) == 1:
                raise AttributeError("as drivers do in the middle of a reconnection")
            return await opened(*how)

        monkeypatch.setattr(queue, "open_pool", stumbles_once)
        now = Clock().micros()
        await bell.ring(now + 5_000_000)
        async with asyncio.timeout(30):
            await bell._queue.join()
        await bell.ring(now + 5_000_000)  # the same: nobody heard it
        async with asyncio.timeout(30):
            await bell._queue.join()
        await bell.close()
        async with Redis.from_url(url) as redis:
            assert await redis.zcard(QUEUE) == 1
