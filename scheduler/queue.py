"""The doorbell on arq: ticks for moments. The only caller of arq's enqueue.

A tick says "look at what is due around this second", never "publish this": losing one costs the
time until the next sweep. Deterministic ids only coalesce them; correctness never depends on it.
"""

from __future__ import annotations

import asyncio
import json
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any

import structlog
from arq.connections import ArqRedis, RedisSettings, create_pool
from redis.asyncio.connection import parse_url
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from scheduler import metrics
from scheduler.clock import Clock, moment
from scheduler.decide import SECOND
from scheduler.ending import end, within
from scheduler.sentinel import sentinel_pool
from scheduler.settings import Settings

log = structlog.get_logger()

QUEUE = "estafette:queue"
# Ticks further ahead are made later, from SQL: Redis stays small however much is scheduled.
NEAR = 120 * SECOND
REMEMBERED = 1000
_CLOSES_WITHIN = 0.5


def serialize(job: dict[str, Any]) -> bytes:
    """Jobs as JSON: unpickling what lies in Redis would be running code from there."""
    return json.dumps(job).encode()


# Retrying on these is what keeps a worker alive, and its jobs from running twice, across a restart
# of Redis (measured: 0 of 5 duplicated, else 5).
_PASSING: list[type[Exception]] = [RedisConnectionError, RedisTimeoutError, ConnectionRefusedError]


def _patient() -> Retry:
    return Retry(ExponentialBackoff(cap=1, base=0.05), 50)


def redis_settings(url: str) -> RedisSettings:
    """Arq's connection settings. Arq forgets what the URL says of TLS (`?ssl_ca_certs=…`)."""
    base = RedisSettings.from_dsn(url)
    for name, value in parse_url(url).items():
        if name.startswith("ssl_") and hasattr(base, name):
            setattr(base, name, value)
    base.retry = _patient()
    base.retry_on_error = _PASSING
    base.retry_on_timeout = True
    return base


async def open_pool(url: str, settings: Settings) -> ArqRedis:
    """A pool for enqueueing. Error: RedisError when Redis does not answer."""
    if settings.redis_sentinel:
        pool = behind_sentinels(url, settings)
        try:
            await pool.ping()
        except BaseException:
            await pool.aclose()
            raise
        return pool
    wanted = redis_settings(url)
    wanted.conn_retries = 1
    return await create_pool(
        wanted, job_serializer=serialize, job_deserializer=json.loads,
        default_queue_name=QUEUE,
    )  # fmt: skip


def behind_sentinels(url: str, settings: Settings) -> ArqRedis:
    """A pool of the master that the Sentinels name. Its driver tries an address to the end before
    it asks them again: many tries would be those at a master that is dead."""
    few = Retry(ExponentialBackoff(cap=1, base=0.05), 3)
    return sentinel_pool(
        url, settings, queue=QUEUE, retry=few, retry_on=_PASSING, serialize=serialize
    )


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
        self._pool: ArqRedis | None = None
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
            with suppress(RedisError, OSError, TimeoutError):
                await within(_CLOSES_WITHIN, self._pool.aclose())
