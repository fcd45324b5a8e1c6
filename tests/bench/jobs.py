"""The other limit: plain arq, tuned, with one job for each delivery and no database."""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import aiohttp
from arq.connections import RedisSettings, create_pool
from arq.worker import Worker

from scheduler.redis_pool import serialize
from tests.bench.support import Payloads
from tests.support.servers import redis_server

_AHEAD = 1.0
_ENQUEUED_AT_ONCE = 20


async def post(context: dict[Any, Any], body: dict[str, str]) -> None:
    """One delivery."""
    given: Payloads = context["given"]
    async with context["session"].post(given.url, data=body, headers=given.headers) as response:
        await response.read()
        assert response.status == 200
    context["left"].pop()
    if not context["left"]:
        context["ended"].set()


async def spike(directory: Path, given: Payloads, concurrency: int) -> tuple[float, float]:
    """Seconds from the due instant to the last answer, and seconds of this process's CPU."""
    with (
        tempfile.TemporaryDirectory(prefix="a-", dir=directory) as name,
        redis_server(Path(name)) as url,
    ):
        settings = RedisSettings.from_dsn(url)
        pool = await create_pool(settings, job_serializer=serialize, job_deserializer=json.loads)
        places = asyncio.Semaphore(_ENQUEUED_AT_ONCE)
        # Due once all are there: arq takes some seconds to enqueue them.
        due = time.time() + _AHEAD + len(given.bodies) / 1500

        async def enqueue(body: dict[str, str]) -> None:
            async with places:
                await pool.enqueue_job("post", body, _defer_until=datetime.fromtimestamp(due, UTC))

        await asyncio.gather(*(enqueue(body) for body in given.bodies))
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
            ended = asyncio.Event()
            worker = Worker(
                [cast("Any", post)],
                redis_settings=settings, poll_delay=0.02, max_jobs=max(200, concurrency),
                keep_result=0, handle_signals=False, log_results=False, job_serializer=serialize,
                job_deserializer=json.loads,
                ctx={
                    "given": given, "session": session, "ended": ended, "left": list(given.bodies),
                },
            )  # fmt: skip
            running = asyncio.create_task(worker.async_run())
            due = max(due, time.time())
            await asyncio.sleep(max(0, due - time.time() - 0.05))
            used = time.process_time()
            await ended.wait()
            figures = time.time() - due, time.process_time() - used
            await asyncio.gather(*worker.tasks.values(), return_exceptions=True)
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            await worker.close()
        await pool.aclose()
        return figures
