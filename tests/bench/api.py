"""How many posts a second the API takes, each with five deliveries, and how fast it answers.

    python -m tests.bench.api [--seconds 10] [--database-url postgresql+asyncpg://…]

The server gets one core, the client another. First as many posts as fifty clients can send, then
half of that at a steady rate: p50, p99 and the longest, and what a post costs of the server's core
(the figure that a busy machine spoils least). The server logs as in production, to nowhere: into a
pipe that nobody reads it would stop once that is full. 201 means committed (SQLite: WAL and
synchronous=FULL), so the disk counts too.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import aiohttp
import uvloop
from aiohttp import web

from channels.sandbox.ledger import Ledger
from channels.sandbox.server import PracticeServer
from scheduler.logs import configure
from scheduler.services import Services, open_services
from scheduler.settings import Settings
from scheduler.store import accounts, tokens
from scheduler.store.migrate import migrate
from scheduler.store.tokens import Scope
from scheduler.web.app import create_app

DELIVERIES = 5
POST = json.dumps(
    {
        "title": "We reopen on Monday",
        "body": "After **three weeks** of works the shop opens.\n\n- new oven\n- same bread\n\n"
        "See [the opening hours](https://shop.example/hours). " * 3,
        "link": "https://shop.example/reopening",
        "tags": ["bakery", "reopening"],
        "at": "2035-01-07T09:00",
        "zone": "Europe/Paris",
    }
).encode()


async def serve(settings: Settings) -> None:
    """The server's process: print port and token, serve until killed."""
    async with open_services(settings) as services:
        await migrate(services.database)
        secret = await _furnish(services, settings.data_dir)
        runner = web.AppRunner(create_app(services), access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        sys.stdout.write(f"{runner.addresses[0][1]} {secret}\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


async def _furnish(services: Services, directory: Path) -> str:
    """Connect five accounts, one per channel as far as there are; a token."""
    async with PracticeServer(Ledger(directory / "ledger.db")) as practice:
        wanted = {one.adapter: (one.adapter, one.settings) for one in practice.accounts()}
    chosen = [("blog", {"base_url": "https://shop.example"}), *wanted.values()]
    chosen += [("blog", {"base_url": "https://shop.example"})] * (DELIVERIES - len(chosen))
    now = services.clock.micros()
    async with services.database.write() as connection:
        for index, (adapter, values) in enumerate(chosen[:DELIVERIES]):
            channel = services.registry[adapter]
            await accounts.connect(
                connection,
                services.vault,
                channel=channel,
                name=f"{adapter} {index}",
                settings=channel.settings_type.model_validate(values),
                now=now,
            )
        made = await tokens.create(connection, name="bench", scopes=[Scope.WRITE], now=now)
    return made.secret


async def _timed(post: Callable[[], Awaitable[int]], into: list[float]) -> None:
    start = time.perf_counter()
    status = await post()
    if status != 201:
        raise SystemExit(f"the API answered {status}")
    into.append((time.perf_counter() - start) * 1000)


async def _flood(post: Callable[[], Awaitable[int]], clients: int, seconds: float) -> list[float]:
    took: list[float] = []
    end = time.perf_counter() + seconds

    async def one() -> None:
        while time.perf_counter() < end:
            await _timed(post, took)

    await asyncio.gather(*(one() for _ in range(clients)))
    return took


async def _steady(post: Callable[[], Awaitable[int]], rate: float, seconds: float) -> list[float]:
    took: list[float] = []
    start = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for index in range(int(rate * seconds)):
            await asyncio.sleep(max(0.0, start + index / rate - time.perf_counter()))
            group.create_task(_timed(post, took))
    return took


def _cpu(pid: int) -> float:
    """Seconds of processor that a process has used (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _line(name: str, took: list[float], seconds: float, cpu: float) -> dict[str, Any]:
    """Posts a second, how long each took, and the server's processor time for each, in ms."""
    cuts = statistics.quantiles(took, n=100)
    line = {
        "bench": f"api-{name}", "deliveries": DELIVERIES, "per_second": round(len(took) / seconds),
        "p50_ms": round(cuts[49], 1), "p99_ms": round(cuts[98], 1), "max_ms": round(max(took), 1),
        "cpu_ms": round(cpu / len(took) * 1000, 2),
    }  # fmt: skip
    print(json.dumps(line), flush=True)
    return line


async def measure(pid: int, port: int, secret: str, seconds: float) -> list[dict[str, Any]]:
    """The client's side."""
    url = f"http://127.0.0.1:{port}/api/v1/posts"
    headers = {"Authorization": f"Bearer {secret}", "Content-Type": "application/json"}
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(headers=headers, connector=connector) as session:

        async def post() -> int:
            async with session.post(url, data=POST) as answer:
                await answer.read()
                return answer.status

        await _flood(post, 10, 1)
        used = _cpu(pid)
        took = await _flood(post, 50, seconds)
        lines = [_line("most", took, seconds, _cpu(pid) - used)]
        for name, rate in (("at-300", 300.0), ("at-half", len(took) / seconds / 2)):
            used = _cpu(pid)
            steady = await _steady(post, rate, seconds)
            lines.append(_line(name, steady, seconds, _cpu(pid) - used))
        return lines


def main(arguments: Sequence[str] | None = None) -> list[dict[str, Any]]:
    """One JSON line a load: as much as fifty clients can send, 300 a second, half of the most."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--database-url", default="")
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    cores = sorted(os.sched_getaffinity(0))
    if options.serve is not None:
        os.sched_setaffinity(0, cores[:1])
        configure("info", "json")
        settings = Settings(
            data_dir=options.serve, database_url=options.database_url, redis_url="none"
        )
        uvloop.run(serve(settings))
        return []
    with tempfile.TemporaryDirectory() as directory:
        command = [sys.executable, "-m", "tests.bench.api", "--serve", directory]
        command += ["--database-url", options.database_url]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        ) as server:
            assert server.stdout is not None
            port, secret = server.stdout.readline().split()
            os.sched_setaffinity(0, cores[1:] or cores)
            try:
                lines = uvloop.run(measure(server.pid, int(port), secret, options.seconds))
            finally:
                os.sched_setaffinity(0, cores)
                server.kill()
    kind = "postgresql" if options.database_url.startswith("postgresql") else "sqlite"
    return [{**line, "database": kind} for line in lines]


if __name__ == "__main__":
    main()
