"""Arq's worker beside the dispatcher: it takes ticks, and is started again whenever Redis ends it.

Loaded where there is a Redis, and not elsewhere: its client is large.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import Any, ClassVar

import structlog
from arq.worker import Worker
from redis.exceptions import RedisError

from scheduler import metrics
from scheduler.dispatch import Dispatcher
from scheduler.ending import end
from scheduler.redis_pool import QUEUE, Pool, pool_of, serialize
from scheduler.settings import Settings

log = structlog.get_logger()

_REST = 1.0


async def tick(context: dict[Any, Any], *_args: Any, **_kwargs: Any) -> None:
    """The doorbell's only word: something is due around this second."""
    metrics.TICKS.inc()
    context["dispatcher"].wake()


class Ticks:
    """Arq's functions, and its loop."""

    functions: ClassVar[list[Any]] = [tick]

    def __init__(self, url: str, settings: Settings, dispatcher: Dispatcher) -> None:
        self._url = url
        self._settings = settings
        self._dispatcher = dispatcher

    async def run(self) -> None:
        """Until cancelled. Arq's loop ends when Redis does; the dispatcher goes on meanwhile."""
        while True:
            pool = pool_of(self._url, self._settings)
            worker = Worker(
                self.functions,
                redis_pool=pool,
                queue_name=QUEUE,
                ctx={"dispatcher": self._dispatcher},
                poll_delay=0.05,
                keep_result=0,
                max_jobs=50,
                max_tries=100,
                job_timeout=30,
                job_completion_wait=1,
                health_check_interval=10,
                handle_signals=False,
                job_serializer=serialize,
                job_deserializer=json.loads,
            )
            try:
                await worker.async_run()
            except (RedisError, OSError) as error:
                metrics.REDIS_UP.set(0)
                log.warning("redis.lost", error=type(error).__name__, going_on="from SQL alone")
            except Exception:  # whatever lies in Redis: it must not deafen this worker for good
                log.exception("ticks.failed", going_on="from SQL alone")
            finally:
                await _end(worker, pool)
            await asyncio.sleep(_REST)


async def _end(worker: Worker, pool: Pool) -> None:
    """Leave nothing of arq's worker behind. Its own closing would write to Redis first: with all
    retries where Redis is gone, and for ever where it hangs."""
    await end([task for task in (worker.main_task, *worker.tasks.values()) if task is not None])
    with suppress(RedisError, OSError):
        await pool.aclose()
