"""The embedded Redis, with the real server: killed, frozen out, left over, damaged."""

import asyncio
import os
import signal
import stat
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError

from scheduler import embedded
from scheduler.embedded import EmbeddedRedis, EmbeddedRedisError, doorbell, find_server
from scheduler.settings import Settings

pytestmark = pytest.mark.skipif(find_server() is None, reason="no Redis for this platform")


@pytest.fixture
def data_dir() -> Iterator[Path]:
    # pytest's own directories may be longer than a socket path can be.
    with tempfile.TemporaryDirectory(prefix="e-") as directory:
        yield Path(directory)


async def write(url: str, key: str, value: str) -> None:
    async with Redis.from_url(url) as client:
        await client.set(key, value)


async def read(url: str, key: str) -> str | None:
    async with Redis.from_url(url, decode_responses=True) as client:
        value: str | None = await client.get(key)
        return value


async def restarted(redis: EmbeddedRedis, previous: int) -> None:
    async with asyncio.timeout(60):
        while True:
            if redis.pid not in {None, previous}:
                try:
                    await read(redis.url, "anything")
                except RedisError:
                    pass
                else:
                    return
            await asyncio.sleep(0.01)


async def gone(pid: int) -> None:
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(descriptor, ended.set)
    try:
        async with asyncio.timeout(60):
            await ended.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)


async def test_only_its_owner_can_open_the_socket_and_nothing_is_evicted(data_dir: Path) -> None:
    async with EmbeddedRedis(data_dir) as redis, Redis.from_url(redis.url) as client:
        socket = Path(redis.url.removeprefix("unix://"))
        assert stat.S_IMODE(socket.stat().st_mode) == 0o700
        assert stat.S_IMODE(socket.parent.stat().st_mode) == 0o700
        wanted = {"appendonly": "yes", "appendfsync": "everysec", "save": "", "port": "0",
                  "maxmemory-policy": "noeviction"}  # fmt: skip
        found = await client.config_get(*wanted)
    assert {name: str(value) for name, value in found.items()} == wanted


async def test_a_second_start_keeps_what_the_first_wrote(data_dir: Path) -> None:
    async with EmbeddedRedis(data_dir) as redis:
        await write(redis.url, "post", "reopening")
        pid = redis.pid
    assert pid is not None
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    async with EmbeddedRedis(data_dir) as redis:
        assert await read(redis.url, "post") == "reopening"


async def test_a_killed_server_comes_back_with_its_data(data_dir: Path) -> None:
    async with EmbeddedRedis(data_dir) as redis:
        await write(redis.url, "post", "reopening")
        pid = redis.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        await restarted(redis, pid)
        assert await read(redis.url, "post") == "reopening"


async def test_a_deep_data_directory_still_has_a_socket(data_dir: Path) -> None:
    deep = data_dir / ("d" * 60) / ("e" * 60)
    async with EmbeddedRedis(deep) as redis:
        await write(redis.url, "post", "reopening")
        short_home = Path(redis.url.removeprefix("unix://")).parent.parent
        assert (deep / "redis" / "redis.sock").is_socket()
        assert stat.S_IMODE(short_home.stat().st_mode) == 0o700
    assert not short_home.exists()


@asynccontextmanager
async def leftover(data_dir: Path) -> AsyncIterator[subprocess.Popen[bytes]]:
    """A server as a killed parent leaves it: it answers, and its data has a post."""
    server = find_server()
    assert server is not None
    async with EmbeddedRedis(data_dir) as first:
        options = first._options()
    process = subprocess.Popen([server, *options])
    try:
        async with asyncio.timeout(60):
            while not await embedded._answers(data_dir / "redis" / "redis.sock"):  # noqa: ASYNC110 -- a server tells nobody
                await asyncio.sleep(0.01)
        await write(first.url, "post", "reopening")
        yield process
    finally:
        process.kill()
        process.wait()


async def test_a_leftover_of_a_killed_parent_is_ended_and_its_data_kept(data_dir: Path) -> None:
    async with leftover(data_dir) as left:
        reaped = asyncio.create_task(asyncio.to_thread(left.wait))
        async with EmbeddedRedis(data_dir) as redis:
            assert await reaped == 0
            assert redis.pid != left.pid
            assert await read(redis.url, "post") == "reopening"


async def test_a_leftover_that_is_slow_to_answer_is_waited_for(data_dir: Path) -> None:
    """Two seconds were too few for a machine that starts, or a disk that is slow."""
    async with leftover(data_dir) as left:
        left.send_signal(signal.SIGSTOP)
        reaped = asyncio.create_task(asyncio.to_thread(left.wait))
        asyncio.get_running_loop().call_later(3, os.kill, left.pid, signal.SIGCONT)
        async with EmbeddedRedis(data_dir):
            assert await reaped == 0


async def test_a_frozen_leftover_is_named_rather_than_fought(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "_LEFTOVER_TIMEOUT", 0.5)
    server = find_server()
    assert server is not None
    async with EmbeddedRedis(data_dir) as redis:
        pid = redis.pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        with pytest.raises(EmbeddedRedisError, match=r"does not answer.*redis\.pid"):
            await EmbeddedRedis(data_dir).__aenter__()
        os.kill(pid, signal.SIGCONT)


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's promise is Linux's")
async def test_it_ends_with_a_parent_that_was_killed(data_dir: Path) -> None:
    program = textwrap.dedent(f"""
        import asyncio
        from pathlib import Path
        from scheduler.embedded import EmbeddedRedis

        async def main():
            async with EmbeddedRedis(Path({str(data_dir)!r})) as redis:
                print(redis.pid, flush=True)
                await asyncio.Event().wait()

        asyncio.run(main())
    """)
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE
    )
    assert parent.stdout is not None
    pid = int(await parent.stdout.readline())
    parent.kill()
    await parent.wait()
    await gone(pid)


async def test_a_file_the_server_refuses_is_set_aside(data_dir: Path) -> None:
    async with EmbeddedRedis(data_dir) as redis:
        await write(redis.url, "post", "reopening")
    (log,) = (data_dir / "redis" / "appendonlydir").glob("*.incr.aof")
    log.write_bytes(b"not a command\r\n" + log.read_bytes())
    async with EmbeddedRedis(data_dir) as redis:
        assert await read(redis.url, "post") is None
    assert (data_dir / "redis" / "appendonlydir.refused").is_dir()


async def test_a_program_that_is_no_server_says_so(data_dir: Path) -> None:
    program = data_dir / "not-a-server"
    program.write_text("#!/bin/sh\nexit 7\n")
    program.chmod(0o755)
    with pytest.raises(EmbeddedRedisError, match="ended with code 7: it left no log"):
        await EmbeddedRedis(data_dir, server=program).__aenter__()


async def test_a_directory_that_is_a_file_is_one_clear_sentence(data_dir: Path) -> None:
    (data_dir / "redis").write_text("in the way")
    with pytest.raises(EmbeddedRedisError, match="set ESTAFETTE_DATA_DIR"):
        await EmbeddedRedis(data_dir).__aenter__()


async def test_the_setting_wins_and_none_means_sql_alone(data_dir: Path) -> None:
    for given, expected in {"redis://elsewhere/3": "redis://elsewhere/3", "none": None}.items():
        settings = Settings(data_dir=data_dir, redis_url=given)
        async with doorbell(settings) as url:
            assert url == expected
    async with doorbell(Settings(data_dir=data_dir, redis_url="")) as url:
        assert url == f"unix://{data_dir}/redis/redis.sock"
