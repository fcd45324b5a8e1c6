"""The doorbell on arq: ticks for moments. The only caller of arq's enqueue.

A tick says "look at what is due around this second", never "publish this": losing one costs the
time until the next sweep. Deterministic ids only coalesce them; correctness never depends on it.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta

import structlog
from redis.exceptions import RedisError

from scheduler import metrics
from scheduler.clock import Clock, moment
from scheduler.decide import SECOND
from scheduler.ending import end, within
from scheduler.redis_pool import QUEUE, Pool, open_pool
from scheduler.settings import Settings

log = structlog.get_logger()

# Ticks further ahead are made later, from SQL: Redis stays small however much is scheduled.
NEAR = 120 * SECOND
REMEMBERED = 1000
_CLOSES_WITHIN = 0.5


class ArqDoorbell:
    """Rings in the background, never twice for the same second; rings this process first.

    `local`: called at once for what is due now, when a dispatcher lives in this process.
    """

    def __init__(
        self,
        url: str,
        settings: Settings,
        clock: Clock,
        *,
        arm_ahead: float,
        local: Callable[[], None] | None = None,
    ) -> None:
        self._url = url
        self._settings = settings
        self._clock = clock
        self._ahead = int(arm_ahead * SECOND)
        self._local = local
        self._pool: Pool | None = None
        self._rung: OrderedDict[int, None] = OrderedDict()
        self._queue: asyncio.Queue[int] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None

    def listen(self, local: Callable[[], None]) -> None:
        """Have a dispatcher of this process hear the bell without Redis."""
        self._local = local

    async def ring(self, due_at: int) -> None:
        """Best effort and quick: what is stored is already safe."""
        now = self._clock.micros()
        if due_at > now + NEAR:
            return
        if self._local is not None and due_at <= now + self._ahead:
            self._local()
        second = max(due_at, now) // SECOND
        if second in self._rung:
            return
        self._rung[second] = None
        if len(self._rung) > REMEMBERED:
            self._rung.popitem(last=False)
        if self._task is None:
            self._task = asyncio.create_task(self._run())
        self._queue.put_nowait(second)

    async def _run(self) -> None:
        while True:
            second = await self._queue.get()
            try:
                if self._pool is None:
                    self._pool = await open_pool(self._url, self._settings)
                await self._pool.enqueue_job(
                    "tick",
                    second,
                    _job_id=f"{QUEUE}:tick:{second}",
                    _defer_until=moment(second * SECOND - self._ahead),
                    _expires=timedelta(hours=1),
                )
                metrics.REDIS_UP.set(1)
            except (RedisError, OSError) as error:
                metrics.REDIS_UP.set(0)
                self._rung.pop(second, None)  # nobody heard it: it may be rung again
                log.warning("doorbell.unreachable", error=type(error).__name__)
            except Exception:  # a bell that is silent once must not be silent for good
                self._rung.pop(second, None)
                log.exception("doorbell.failed")
            finally:
                self._queue.task_done()

    async def close(self) -> None:
        """What was rung is heard first: a worker that stops rings last of all."""
        if self._task is not None:
            with suppress(TimeoutError):
                await within(_CLOSES_WITHIN, self._queue.join())
            await end([self._task])
        if self._pool is not None:
            with suppress(RedisError, OSError):
                await self._pool.aclose()
