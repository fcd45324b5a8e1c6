"""What a kill -9 in mid-spike costs, and what emptying Redis does.

`python -m tests.bench.kills [--database sqlite|postgresql]`

- restart: the only worker is killed and comes back: how many deliveries are looked for on the
  platform before anything else (in doubt), beside the requests that were in flight at most;
- elsewhere: one of two workers on two machines is killed: after how long its deliveries are done by
  the other, with production's lease (PostgreSQL);
- redis: Redis is emptied in mid-spike: how much later the last delivery is than without.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import redis
import uvloop
from cryptography.fernet import Fernet
from sqlalchemy import ColumnElement, func, select

from scheduler.deliveries import State
from scheduler.logs import configure
from scheduler.services import Services
from scheduler.store.db import Database
from scheduler.store.tables import attempts, deliveries
from tests.bench import support
from tests.support.servers import redis_server

COUNT = 5000
CONCURRENCY = 50
AHEAD = 8.0
# One key for all machines of an installation.
KEY = Fernet.generate_key().decode()
_CLAIMED = deliveries.c.state == State.ARMED
_QUEUED = deliveries.c.state.in_((State.SCHEDULED, State.ARMED))
_DOUBTFUL = (deliveries.c.state == State.UNCONFIRMED) | deliveries.c.id.in_(
    select(attempts.c.delivery_id).where(attempts.c.action == "look")
)


@asynccontextmanager
async def worker(
    directory: Path, database_url: str, redis_url: str = "none"
) -> AsyncIterator[Process]:
    """A worker process of its own, at production's terms; ended when the context does."""
    settings = {
        "DATA_DIR": str(directory), "DATABASE_URL": database_url, "REDIS_URL": redis_url,
        "PRIVATE_ADDRESSES_OK": "true", "WORKER_CONCURRENCY": str(CONCURRENCY),
        "SECRET_KEYS": KEY,
    }  # fmt: skip
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.chaos.child", "worker",
        env={**os.environ, **{f"ESTAFETTE_{name}": value for name, value in settings.items()}},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    assert process.stdout is not None
    await process.stdout.readline()
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()


@asynccontextmanager
async def place(kind: str) -> AsyncIterator[tuple[Services, str, Path, Sequence[str]]]:
    """Database and platforms with 50 accounts: services, the database's URL, a directory, ids."""
    async with AsyncExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="e-", dir="/tmp")))
        url = stack.enter_context(support.database_url(kind, directory))
        platform = await stack.enter_async_context(support.platform(directory))
        services = await stack.enter_async_context(
            support.services(url, directory, secret_keys=KEY)
        )
        yield services, url, directory, await support.connect(services, platform.settings, 50)


async def due_soon(services: Services, ids: Sequence[str], count: int) -> int:
    """Many deliveries due at one instant, for workers that are there already; the instant."""
    due = time.time_ns() // 1000 + int(AHEAD * support.SECOND)
    await support.schedule(services.database, ids, [due] * count, per_post=1)
    return due


async def restart(kind: str, count: int) -> dict[str, float]:
    """Deliveries in doubt, and seconds until all the others were delivered."""
    async with place(kind) as (services, url, directory, ids):
        async with worker(directory / "one", url) as first:
            await due_soon(services, ids, count)
            await support.delivered(services.database, count // 4, every=0.02)
            first.kill()
            await first.wait()
        killed = time.time()
        async with worker(directory / "one", url):
            await none(services.database, _QUEUED)
        doubtful = await _count(services.database, _DOUBTFUL)
        ended = await support.last_commit(services.database) / support.SECOND
    return {"in_doubt": doubtful, "in_flight_at_most": CONCURRENCY, "seconds": ended - killed}


async def elsewhere(count: int) -> dict[str, float]:
    """Seconds from the kill until the other worker had taken up everything of the dead one: what
    was due is then looked for, and sent when the platform proves that it is absent."""
    async with (
        place("postgresql") as (services, url, directory, ids),
        worker(directory / "one", url) as first,
        worker(directory / "two", url),
    ):
        await due_soon(services, ids, count)
        await support.delivered(services.database, count // 4, every=0.02)
        first.kill()
        await first.wait()
        killed = time.time()
        its = _CLAIMED & deliveries.c.worker.contains(f"-{first.pid}-")
        left = await _count(services.database, its)
        await none(services.database, its)
        return {"seconds": time.time() - killed, "claimed_by_the_dead": left,
                "lease": services.settings.lease}  # fmt: skip


async def emptied(kind: str, count: int, *, flush: bool) -> float:
    """Seconds from the due instant to the last delivery."""
    async with place(kind) as (services, url, directory, ids):
        with (
            tempfile.TemporaryDirectory(prefix="r-", dir="/tmp") as name,
            redis_server(Path(name)) as redis_url,
        ):
            async with worker(directory / "one", url, redis_url):
                due = await due_soon(services, ids, count)
                await support.delivered(services.database, count // 4, every=0.02)
                if flush:
                    with redis.Redis.from_url(redis_url) as client:
                        client.flushall()
                await support.delivered(services.database, count)
        return (await support.last_commit(services.database) - due) / support.SECOND


async def _count(database: Database, which: ColumnElement[bool]) -> int:
    statement = select(func.count()).select_from(deliveries).where(which)
    async with database.read() as connection:
        return int((await connection.execute(statement)).scalar_one())


async def none(database: Database, which: ColumnElement[bool]) -> None:
    """Return once there is none of these."""
    while True:
        if not await _count(database, which):
            return
        await asyncio.sleep(0.05)


def main(arguments: Sequence[str] | None = None) -> list[dict[str, Any]]:
    """One JSON line a figure; medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--database", choices=["sqlite", "postgresql"], action="append")
    parser.add_argument("--what", choices=["restart", "elsewhere", "redis"], action="append")
    parser.add_argument("--count", type=int, default=COUNT)
    parser.add_argument("--runs", type=int, default=3)
    args = parser.parse_args(arguments)
    configure("error", "json")
    lines: list[dict[str, Any]] = []

    def tell(what: str, kind: str, **figures: float) -> None:
        rounded = {name: round(value, 3) for name, value in figures.items()}
        lines.append({"bench": what, "database": kind, **rounded, "runs": args.runs})
        print(json.dumps(lines[-1]), flush=True)

    wanted = args.what or ["restart", "elsewhere", "redis"]
    for kind in args.database or ["sqlite", "postgresql"]:
        if "restart" in wanted:
            tell(
                "restart",
                kind,
                **_worst([uvloop.run(restart(kind, args.count)) for _ in range(args.runs)]),
            )
        if "elsewhere" in wanted and kind == "postgresql":
            tell("elsewhere", kind, **_worst([uvloop.run(elsewhere(args.count))]))
        if "redis" in wanted:
            found: dict[bool, list[float]] = {False: [], True: []}
            for _ in range(args.runs):
                for flush, took in found.items():
                    took.append(uvloop.run(emptied(kind, args.count, flush=flush)))
            alone, beside = (statistics.median(found[flush]) for flush in (False, True))
            tell("redis", kind, later_s=beside - alone, seconds=beside, seconds_without=alone)
    return lines


def _worst(rows: Sequence[dict[str, float]]) -> dict[str, float]:
    """The greatest of each figure: a promise holds in the worst run."""
    return {name: max(row[name] for row in rows) for name in rows[0]}


if __name__ == "__main__":
    main()
