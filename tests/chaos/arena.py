"""The processes of one run: API, workers, Redis, database, platforms; each can be killed and comes
back, as under a supervisor."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import redis

from scheduler.embedded import find_server
from tests.bench.support import Platform, platform

RESTART_AFTER = 0.2
# Short terms, so that a run of many kills stays short; the proportions are production's.
TERMS = {
    "LEASE": "5", "SEND_TIMEOUT": "2", "HEARTBEAT_INTERVAL": "0.5", "WORKER_DEAD_AFTER": "2.5",
    "FIND_PATIENCE": "1", "RETRY_BASE": "0.1", "RETRY_CAP": "1", "MAX_TRIES": "30",
    "BREAKER_FAILURES": "1000", "GRACE": "2", "LATE_AFTER": "600", "ARM_AHEAD": "2",
    "PRIVATE_ADDRESSES_OK": "true", "PROBE_INTERVAL": "3600", "SWEEP_INTERVAL": "0.2",
}  # fmt: skip


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Actor:
    """One process that is started again whenever it dies, until the run ends."""

    name: str
    command: list[str]
    environment: Mapping[str, str]
    process: asyncio.subprocess.Process | None = None
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    deaths: int = 0
    log: Path | None = None

    async def live(self) -> None:
        """Run it for ever."""
        while True:
            self.ready.clear()
            assert self.log is not None
            with self.log.open("ab") as errors:
                self.process = await asyncio.create_subprocess_exec(
                    *self.command, env=dict(self.environment), stdout=subprocess.PIPE,
                    stderr=errors,
                )  # fmt: skip
            try:
                assert self.process.stdout is not None
                while await self.process.stdout.readline():
                    self.ready.set()
                await self.process.wait()
            finally:
                if self.process.returncode is None:
                    self.process.kill()
                    await self.process.wait()
            self.deaths += 1
            await asyncio.sleep(RESTART_AFTER)

    def signal(self, number: signal.Signals) -> bool:
        """Send a signal to the living process; False when it is dead just now."""
        if self.process is None or self.process.returncode is not None:
            return False
        os.kill(self.process.pid, number)
        return True


@dataclass
class Arena:
    """Everything of one run. `port`: the API's."""

    directory: Path
    port: int
    platform: Platform
    actors: dict[str, Actor]
    redis_url: str

    def flush_redis(self) -> None:
        """Empty it, if it answers just now."""
        try:
            with redis.Redis.from_url(self.redis_url, socket_timeout=1) as client:
                client.flushall()
        except redis.RedisError:
            return

    @property
    def logs(self) -> str:
        """What the processes complained of."""
        return "".join(
            path.read_text(errors="replace") for path in sorted(self.directory.glob("*.log"))
        )


@asynccontextmanager
async def arena(directory: Path, database_url: str, *, workers: int) -> AsyncIterator[Arena]:
    """Start everything; end everything."""
    port = free_port()
    server = find_server()
    assert server is not None
    redis_socket = directory / "r.sock"
    redis_url = f"unix://{redis_socket}"
    environment = {
        **os.environ,
        **{f"ESTAFETTE_{name}": value for name, value in TERMS.items()},
        "ESTAFETTE_DATA_DIR": str(directory / "data"),
        "ESTAFETTE_DATABASE_URL": database_url,
        "ESTAFETTE_REDIS_URL": redis_url,
        "ESTAFETTE_PORT": str(port),
    }
    child = [sys.executable, "-m", "tests.chaos.child"]
    actors = {
        "redis": Actor(
            "redis",
            [str(server), "--port", "0", "--unixsocket", str(redis_socket), "--save", "",
             "--appendonly", "yes", "--dir", str(directory)],
            environment,
        ),
        "api": Actor("api", [*child, "api"], environment),
        **{f"worker{n}": Actor(f"worker{n}", [*child, "worker"], environment)
           for n in range(workers)},
    }  # fmt: skip
    for actor in actors.values():
        actor.log = directory / f"{actor.name}.log"
    async with platform(directory) as running:
        lives = [asyncio.create_task(actor.live()) for actor in actors.values()]
        try:
            await asyncio.gather(*(actor.ready.wait() for actor in actors.values()))
            yield Arena(directory, port, running, actors, redis_url)
        finally:
            for life in lives:
                life.cancel()
            await asyncio.gather(*lives, return_exceptions=True)
