"""Connections to Redis that are all closed when their pool is, also when nobody answers there.

arq's own factory keeps what it opens to itself until Redis has answered: whoever is cancelled
meanwhile leaves a connection behind that nobody can close. It also forgets what the URL says of
TLS.
"""

from __future__ import annotations

import json
from itertools import chain
from typing import Any

from arq.connections import ArqRedis
from redis.asyncio.connection import ConnectionPool
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import SentinelConnectionPool as _Led
from redis.backoff import ExponentialBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from scheduler.sentinel import sentinel_pool
from scheduler.settings import Settings

QUEUE = "estafette:queue"
_CONNECTS_WITHIN = 1.0
# Retrying on these is what keeps a worker alive, and its jobs from running twice, across a restart
# of Redis (measured: 0 of 5 duplicated, else 5).
_PASSING: list[type[Exception]] = [RedisConnectionError, RedisTimeoutError, ConnectionRefusedError]


def serialize(job: dict[str, Any]) -> bytes:
    """Jobs as JSON: unpickling what lies in Redis would be running code from there."""
    return json.dumps(job).encode()


class Pool(ArqRedis):
    """Closes its connections with itself, those to the Sentinels too. What a server has not taken
    by then is dropped: one that hangs would be waited for."""

    async def aclose(self, close_connection_pool: bool | None = None) -> None:  # noqa: ARG002, FBT001 -- as it is declared
        pool = self.connection_pool
        sentinels = pool.sentinel_manager.sentinels if isinstance(pool, _Led) else []
        for one in (pool, *(sentinel.connection_pool for sentinel in sentinels)):
            _drop(one)
        await super().aclose(close_connection_pool=True)
        for sentinel in sentinels:
            await sentinel.aclose()


def _drop(pool: Any) -> None:
    # redis-py closes by asking the transport, and waits until it is done with what it holds.
    for connection in chain(pool._available_connections, pool._in_use_connections):  # noqa: SLF001 -- no public word for it
        if connection.is_connected:
            connection._writer.transport.abort()  # noqa: SLF001 -- as above


def pool_of(url: str, settings: Settings) -> Pool:
    """A pool for arq, which connects when it is first used. Its owner closes it."""
    connections = (
        sentinel_pool(url, settings, retry=_few_tries(), retry_on=_PASSING)
        if settings.redis_sentinel
        else ConnectionPool.from_url(
            url,
            socket_connect_timeout=_CONNECTS_WITHIN,
            retry=_patience(),
            retry_on_error=_PASSING,
            retry_on_timeout=True,
        )
    )
    return Pool(
        connections,
        job_serializer=serialize,
        job_deserializer=json.loads,
        default_queue_name=QUEUE,
    )


async def open_pool(url: str, settings: Settings) -> Pool:
    """A pool that has an answer. Error: RedisError when Redis does not."""
    pool = pool_of(url, settings)
    try:
        await pool.ping()
    except BaseException:
        await pool.aclose()
        raise
    return pool


def _patience() -> Retry:
    return Retry(ExponentialBackoff(cap=1, base=0.05), 50)


def _few_tries() -> Retry:
    """Behind Sentinels the driver tries an address to the end before it asks them again: many
    tries would be those at a master that is dead."""
    return Retry(ExponentialBackoff(cap=1, base=0.05), 3)
