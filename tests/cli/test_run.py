"""`estafette run` as a process of its own: it starts, it refuses, it stops, it goes on."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sqlite3
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest

from scheduler.cli.client import Api
from scheduler.cli.exits import CommandError
from scheduler.cli.place import Place, noted
from scheduler.cli.post import ended
from tests.support.command import ROOT, environment

pytestmark = pytest.mark.timeout(240)  # several starts of the whole program


@pytest.fixture
def data_dir() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="e-") as directory:
        yield Path(directory)


async def start(
    data_dir: Path, *, host: str = "127.0.0.1", port: int = 0, practice_port: int = 0
) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "scheduler", "run", "--port", str(port),
        cwd=ROOT,
        env=environment(
            data_dir, ESTAFETTE_HOST=host, ESTAFETTE_PRACTICE_PORT=str(practice_port)
        ),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, start_new_session=True,
    )  # fmt: skip


async def ready(process: asyncio.subprocess.Process, data_dir: Path) -> Place:
    assert process.stdout is not None
    seen = b""
    while b"Ctrl-C stops" not in seen:
        line = await process.stdout.readline()
        assert line, (seen, await process.stderr.read() if process.stderr else b"")
        seen += line
    place = noted(data_dir)
    assert place is not None
    return place


@asynccontextmanager
async def running(
    data_dir: Path, *, host: str = "127.0.0.1"
) -> AsyncIterator[tuple[asyncio.subprocess.Process, Place]]:
    process = await start(data_dir, host=host)
    try:
        yield process, await ready(process, data_dir)
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGINT)
        await process.communicate()


async def test_a_post_reaches_every_channel_and_a_second_copy_is_refused(data_dir: Path) -> None:
    async with running(data_dir) as (process, place), Api(place) as api:
        second = await start(data_dir)
        _, error = await second.communicate()
        assert second.returncode == 2
        assert error.decode().startswith("estafette: another Estafette runs on")
        assert len(error.splitlines()) == 1

        made = await api.post("/posts", {"title": "We reopen", "body": "On Monday."})
        async with asyncio.timeout(60):
            post = await ended(api, made["id"])
        assert {one["channel"]: one["state"] for one in post["deliveries"]} == dict.fromkeys(
            ("blog", "facebook", "linkedin", "messenger", "newsletter"), "delivered"
        )
        assert process.stdout is not None
        async with asyncio.timeout(60):  # the terminal tells a moment later than the API
            while b"delivered" not in await process.stdout.readline():
                pass
        process.send_signal(signal.SIGINT)
        _, error = await process.communicate()
        assert process.returncode == 0, error.decode()
        assert b"Traceback" not in error
    with pytest.raises(CommandError, match="does not answer"):
        async with Api(place) as api:
            await api.get("/accounts")


async def test_what_was_accepted_before_a_kill_goes_out_once_at_the_next_start(
    data_dir: Path,
) -> None:
    async with running(data_dir) as (process, place):
        async with Api(place) as api:
            made = await api.post("/posts", {"title": "We reopen", "body": "On Monday."})
        os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
    async with running(data_dir) as (_, place), Api(place) as api:
        async with asyncio.timeout(120):
            post = await ended(api, made["id"])
        assert {one["state"] for one in post["deliveries"]} == {"delivered"}
        assert len(post["deliveries"]) == 5
        assert len(await api.pages("/posts", "posts", most=10)) == 1


async def test_who_listens_everywhere_is_told_that_links_need_an_address(data_dir: Path) -> None:
    everywhere = "0.0.0.0"  # noqa: S104 -- the practice platforms need no more than loopback
    async with running(data_dir, host=everywhere) as (process, place), Api(place) as api:
        assert place.url.startswith("http://127.0.0.1:")
        assert place.practice_url.startswith("http://127.0.0.1:")
        every = (await api.get("/accounts"))["accounts"]
        assert len(every) == 5
        assert everywhere not in json.dumps(every)
        process.send_signal(signal.SIGINT)
        _, error = await process.communicate()
    (line,) = error.decode().splitlines()
    assert "set ESTAFETTE_PUBLIC_URL" in line


async def test_a_busy_port_is_one_sentence(data_dir: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        process = await start(data_dir, port=taken.getsockname()[1])
        _, error = await process.communicate()
    assert process.returncode == 2
    assert "cannot listen on 127.0.0.1:" in error.decode()
    assert "ESTAFETTE_PORT" in error.decode()
    assert len(error.splitlines()) == 1


async def test_a_busy_practice_port_is_one_sentence(data_dir: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        process = await start(data_dir, practice_port=taken.getsockname()[1])
        _, error = await process.communicate()
    assert process.returncode == 2
    assert "ESTAFETTE_PRACTICE_PORT" in error.decode()
    assert len(error.splitlines()) == 1


async def test_a_migration_that_fails_is_one_sentence(data_dir: Path) -> None:
    """It is a process of its own that migrates; what stops it is said by this one."""
    with closing(sqlite3.connect(data_dir / "estafette.db")) as damaged, damaged:
        damaged.execute("CREATE TABLE alembic_version (version_num VARCHAR(32))")
        damaged.execute("INSERT INTO alembic_version VALUES ('0005')")
    damaged.close()
    process = await start(data_dir)
    _, error = await process.communicate()
    assert process.returncode == 2
    assert error.decode().startswith("estafette: the database does not work: no such table")
    assert len(error.splitlines()) == 1
