"""`estafette worker` told to stop while what it works with hangs or is gone: it ends all the same,
and says what it could not wait for."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest
from redis.asyncio import Redis

from scheduler.ending import LAST_MOMENT
from scheduler.limits import FOREVER
from scheduler.redis_pool import QUEUE
from scheduler.store.db import Database
from scheduler.store.migrate import migrate
from scheduler.store.workers import heard_from
from tests.support.command import ROOT, environment
from tests.support.servers import postgres_server, redis_server

pytestmark = pytest.mark.timeout(240)

GRACE = 1
# Where all can be ended in time: so long may the machine stall in the middle of it.
LONG = 60
# What a supervisor allows beyond the grace before it kills (deploy/: 35 s for a grace of 25).
BEYOND = 10
assert LAST_MOMENT < BEYOND


@asynccontextmanager
async def working(
    data_dir: Path, redis_url: str, database_url: str, *, grace: int = GRACE, **more: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    """A worker that has begun its work on this database and this Redis."""
    database = Database(database_url)
    await migrate(database)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "scheduler", "worker", cwd=ROOT,
        env=environment(
            data_dir, REDIS_URL=redis_url, ESTAFETTE_DATABASE_URL=database_url,
            ESTAFETTE_GRACE=str(grace), ESTAFETTE_LOG_FORMAT="json", **more,
        ),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    try:
        async with asyncio.timeout(60), Redis.from_url(redis_url) as redis:
            while not (  # noqa: ASYNC110 -- another process
                await redis.exists(f"{QUEUE}:health-check")
                and await heard_from(database, 0, FOREVER)
            ):
                await asyncio.sleep(0.05)
        await database.close()
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def told_to_stop(process: asyncio.subprocess.Process) -> str:
    """Its last words, once it has ended. Error: TimeoutError when it does not."""
    process.send_signal(signal.SIGTERM)
    async with asyncio.timeout(LONG + BEYOND):
        out, _ = await process.communicate()
    return out.decode()


@contextmanager
def frozen(*pids: int) -> Iterator[None]:
    """These processes keep their sockets and answer nothing."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in reversed(pids):
            os.kill(pid, signal.SIGCONT)


async def redis_pid(url: str) -> int:
    async with Redis.from_url(url) as redis:
        return int((await redis.info("server"))["process_id"])


@pytest.fixture
def home(short_dir: Path) -> Path:
    home = short_dir / "stopping"
    home.mkdir(exist_ok=True)
    for directory in (short_dir, home):
        directory.chmod(0o755)  # PostgreSQL may have to run as another
    return home


@pytest.fixture
def own_redis(home: Path) -> Iterator[str]:
    with redis_server(home) as url:
        yield url


async def test_it_ends_in_good_order_when_all_is_well(
    tmp_path: Path, own_redis: str, sqlite_url: str
) -> None:
    async with working(tmp_path, own_redis, sqlite_url, grace=LONG) as process:
        said = await told_to_stop(process)
    assert process.returncode == 0
    assert "did-not-end" not in said
    assert not list((tmp_path / "journal").iterdir())


async def test_systemd_hears_that_it_is_there_and_that_it_stops(
    tmp_path: Path, home: Path, own_redis: str, sqlite_url: str
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notices:
        notices.bind(str(home / "notify"))
        notices.setblocking(False)
        told = asyncio.get_running_loop().sock_recv
        async with (
            working(
                tmp_path, own_redis, sqlite_url, grace=LONG, NOTIFY_SOCKET=str(home / "notify")
            ) as process,
            asyncio.timeout(LONG + BEYOND),
        ):
            assert await told(notices, 100) == b"READY=1"
            await told_to_stop(process)
            assert await told(notices, 100) == b"STOPPING=1"
    assert process.returncode == 0


async def test_a_redis_that_hangs_does_not_keep_it(
    tmp_path: Path, own_redis: str, sqlite_url: str
) -> None:
    async with working(tmp_path, own_redis, sqlite_url, grace=LONG) as process:
        with frozen(await redis_pid(own_redis)):
            await told_to_stop(process)
    assert process.returncode == 0


async def test_a_redis_that_is_gone_does_not_keep_it(
    tmp_path: Path, home: Path, sqlite_url: str
) -> None:
    with redis_server(home) as url:
        async with working(tmp_path, url, sqlite_url, grace=LONG) as process:
            os.kill(await redis_pid(url), signal.SIGKILL)
            await told_to_stop(process)
    assert process.returncode == 0


async def test_a_database_that_hangs_does_not_keep_it(
    tmp_path: Path, home: Path, own_redis: str
) -> None:
    place = home / "database"
    place.mkdir()
    with postgres_server(place) as server:
        server.run("CREATE DATABASE hanging")
        async with working(tmp_path, own_redis, server.url("hanging")) as process:
            first = int((server.directory / "data/postmaster.pid").read_text().split()[0])
            children = Path(f"/proc/{first}/task/{first}/children").read_text().split()
            with frozen(first, *map(int, children)):
                said = await told_to_stop(process)
    # 1: on a slow machine its last moment may come before all has been given up.
    assert process.returncode in {0, 1}
    # Its last words name what it could not wait for: a task, or what it had to leave undone.
    assert "did-not-end" in said or "TimeoutError" in said
