"""The processes of one run: API, workers, Redis, database, platforms; each can be killed and comes
back, as under a supervisor."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import redis

from scheduler.embedded import find_server
from tests.bench.support import Platform, platform
from tests.chaos.actor import Actor
from tests.chaos.disk import Disk, disk
from tests.chaos.stores import Store, store
from tests.support.ports import free_ports

# Short terms, so that a run of many kills stays short; the proportions are production's.
TERMS = {
    "LEASE": "5", "SEND_TIMEOUT": "2", "HEARTBEAT_INTERVAL": "0.5", "WORKER_DEAD_AFTER": "2.5",
    "FIND_PATIENCE": "1", "RETRY_BASE": "0.1", "RETRY_CAP": "1", "MAX_TRIES": "30",
    "BREAKER_FAILURES": "1000", "GRACE": "2", "LATE_AFTER": "600", "ARM_AHEAD": "2",
    "PRIVATE_ADDRESSES_OK": "true", "PROBE_INTERVAL": "3600", "SWEEP_INTERVAL": "0.2",
}  # fmt: skip


@dataclass
class Arena:
    """Everything of one run. `port`: the API's."""

    directory: Path
    port: int
    platform: Platform
    actors: Mapping[str, Actor]
    redis_url: str
    disk: Disk
    store: Store

    @property
    def workers(self) -> Sequence[Actor]:
        return [actor for name, actor in self.actors.items() if name.startswith("worker")]

    def worker(self, draw: int) -> Actor:
        """One of them."""
        return self.workers[draw % len(self.workers)]

    def flush_redis(self) -> None:
        """Empty it, if it answers just now."""
        try:
            with redis.Redis.from_url(self.redis_url, socket_timeout=1) as client:
                client.flushall()
        except redis.RedisError:
            return

    def complaints(self) -> Counter[str]:
        """What the processes logged, by event and error."""
        found: Counter[str] = Counter()
        for path in sorted(self.directory.glob("*.log")):
            for line in path.read_text(errors="replace").splitlines():
                event = re.search(r'"event": "([^"]+)"', line)
                error = re.findall(r"(\w+(?:\.\w+)+: [^\\]{0,80})\\n", line)
                if event:
                    found[f"{path.stem.rstrip('0123456789')} {event[1]}: {error[-1:]}"] += 1
        return found


@asynccontextmanager
async def arena(directory: Path, kind: str, *, workers: int) -> AsyncIterator[Arena]:
    """Everything, not started yet; ended with the context."""
    with disk(directory / "data") as data:
        environment = os.environ | {f"ESTAFETTE_{name}": value for name, value in TERMS.items()}
        database = store(kind, directory, data.path, environment)
        redis_socket = directory / "r.sock"
        (port,) = free_ports(1)  # also while the API is dead: a stranger would answer the client
        environment |= {
            "ESTAFETTE_DATA_DIR": str(data.path),
            "ESTAFETTE_DATABASE_URL": database.url,
            "ESTAFETTE_REDIS_URL": f"unix://{redis_socket}",
            "ESTAFETTE_PORT": str(port),
        }
        commands = {
            "redis": [str(find_server()), "--port", "0", "--unixsocket", str(redis_socket),
                      "--save", "", "--appendonly", "yes", "--dir", str(data.path)],
            "api": [sys.executable, "-m", "tests.chaos.child", "api"],
            **{f"worker{n}": [sys.executable, "-m", "tests.chaos.child", "worker"]
               for n in range(workers)},
        }  # fmt: skip
        actors = {
            name: Actor(name, command, environment, directory / f"{name}.log")
            for name, command in commands.items()
        }
        if database.actor is not None:
            actors["postgres"] = database.actor
        async with platform(directory) as running:
            yield Arena(directory, port, running, actors, f"unix://{redis_socket}", data, database)


@asynccontextmanager
async def alive(actors: Sequence[Actor]) -> AsyncIterator[None]:
    """These processes, ready; ended with the context."""
    lives = [asyncio.create_task(actor.live()) for actor in actors]
    try:
        for actor, life in zip(actors, lives, strict=True):
            waiting = asyncio.create_task(actor.ready.wait())
            await asyncio.wait([waiting, life], return_when=asyncio.FIRST_COMPLETED)
            if life.done():
                life.result()  # it could not even be started
        yield
    finally:
        for life in lives:
            life.cancel()
        await asyncio.gather(*lives, return_exceptions=True)
