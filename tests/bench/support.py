"""What the benchmarks share: a platform in its own process, a filled database, the bare client."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import uuid_utils
from sqlalchemy import func, insert, select
from yarl import URL

from channels.base import Account
from channels.facebook.adapter import FacebookSettings
from channels.outcome import HealthStatus
from channels.posts import Part
from scheduler.content import to_post
from scheduler.deliveries import State
from scheduler.logs import configure
from scheduler.services import Services, open_services
from scheduler.settings import Settings
from scheduler.store import accounts
from scheduler.store.db import Database
from scheduler.store.migrate import migrate
from scheduler.store.tables import accounts as account_table
from scheduler.store.tables import attempts, deliveries, posts
from tests.support.servers import postgres_server

SECOND = 1_000_000
BODY = (
    "We reopen on Monday at nine. Come and see us, **all of you**: https://shop.example/reopening"
)


@dataclass(frozen=True, slots=True)
class Platform:
    """The practice platforms' process: their address, and by adapter how to connect."""

    url: str
    accounts: dict[str, dict[str, Any]]

    @property
    def settings(self) -> dict[str, Any]:
        """Of the practice page."""
        return self.accounts["facebook"]


@dataclass(frozen=True, slots=True)
class Payloads:
    """Forms to post, one request each."""

    url: URL
    headers: dict[str, str]
    bodies: list[dict[str, str]]


@asynccontextmanager
async def platform(directory: Path) -> AsyncIterator[Platform]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.bench.platform", str(directory),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdin is not None
    hello = json.loads(await process.stdout.readline())
    try:
        yield Platform(hello["url"], hello["accounts"])
    finally:
        process.stdin.close()
        await process.wait()


@contextmanager
def database_url(kind: str, directory: Path) -> Iterator[str]:
    """An empty database: `sqlite` in a file, `postgresql` with its durable defaults."""
    if kind == "sqlite":
        yield f"sqlite+aiosqlite:///{directory / 'bench.db'}"
        return
    with postgres_server(directory, durable=True) as server:
        server.run("CREATE DATABASE bench")
        yield server.url("bench")


@asynccontextmanager
async def services(url: str, directory: Path, **settings: Any) -> AsyncIterator[Services]:
    configure("warning")
    async with open_services(
        Settings(
            data_dir=directory, database_url=url, redis_url="none", private_addresses_ok=True,
            **settings,
        )
    ) as opened:  # fmt: skip
        await migrate(opened.database)
        yield opened


async def connect(
    opened: Services, settings: dict[str, Any], count: int, adapter: str = "facebook"
) -> list[str]:
    """So many accounts on one practice page; their ids."""
    channel = opened.registry[adapter]
    async with opened.database.write() as connection:
        ids = [
            await accounts.connect(
                connection,
                opened.vault,
                channel=channel,
                name=f"Page {number}",
                settings=channel.settings_type.model_validate(settings),
                now=opened.clock.micros(),
            )
            for number in range(count)
        ]
        # Probed already: probes would disturb the measurement.
        await connection.execute(
            account_table.update().values(
                status=HealthStatus.HEALTHY, checked_at=opened.clock.micros(), max_concurrent=64
            )
        )
    return ids


async def schedule(
    database: Database, account_ids: Sequence[str], due: Sequence[int], *, per_post: int
) -> None:
    """One delivery per due time; `per_post` deliveries share a post."""
    now = time.time_ns() // 1000
    post_rows, delivery_rows = [], []
    for number, due_at in enumerate(due):
        if number % per_post == 0:
            post_id = str(uuid_utils.uuid7())
            post_rows.append(
                {
                    "id": post_id, "kind": "essential", "title": f"Reopening {number}",
                    "content": {"body": BODY, "language": "en"}, "due_at": due_at,
                    "zone": "Europe/Paris", "late_policy": "publish", "version": 1,
                    "created_by": "bench", "created_at": now, "updated_at": now,
                }
            )  # fmt: skip
        delivery_rows.append(
            {
                "id": str(uuid_utils.uuid7()), "post_id": post_id,
                "account_id": account_ids[number % len(account_ids)], "part": Part.POST,
                "state": State.SCHEDULED, "due_at": due_at, "planned_at": due_at,
                "created_at": now, "updated_at": now,
            }
        )  # fmt: skip
    async with database.write() as connection:
        await connection.execute(insert(posts), post_rows)
        for start in range(0, len(delivery_rows), 5000):
            await connection.execute(insert(deliveries), delivery_rows[start : start + 5000])


async def delivered(database: Database, count: int, *, every: float = 0.25) -> None:
    """Return once so many deliveries are delivered and committed; looks `every` so many seconds."""
    statement = select(func.count()).where(deliveries.c.state == State.DELIVERED)
    while True:
        async with database.read() as connection:
            if (await connection.execute(statement)).scalar_one() >= count:
                return
        await asyncio.sleep(every)


async def lateness(database: Database, adapter: str = "facebook") -> list[int]:
    """Microseconds each attempt at this adapter's accounts was late, sorted."""
    statement = (
        select(attempts.c.late_us)
        .join(deliveries, deliveries.c.id == attempts.c.delivery_id)
        .join(account_table, account_table.c.id == deliveries.c.account_id)
        .where(attempts.c.action == "send", account_table.c.adapter == adapter)
    )
    async with database.read() as connection:
        return sorted((await connection.execute(statement)).scalars())


async def last_commit(database: Database) -> int:
    """When the last delivery was finished (microseconds)."""
    async with database.read() as connection:
        statement = select(func.max(deliveries.c.finished_at))
        return int((await connection.execute(statement)).scalar_one())


def payloads(opened: Services, settings: dict[str, Any], count: int) -> Payloads:
    """What the adapter would post for so many posts, rendered ahead, and where."""
    channel = opened.registry["facebook"]
    connection = FacebookSettings.model_validate(settings)
    way = connection.road
    anyone = Account(id="bare", name="bare", settings=connection)
    bodies = []
    for number in range(count):
        post = to_post(
            {
                "id": str(number), "title": f"Bare {number}", "kind": "essential",
                "content": {"body": BODY}, "due_at": 0,
            },
            Path(),
        )  # fmt: skip
        bodies.append({**way.proof, "message": channel.render(post, anyone).text})
    return Payloads(way.feed, dict(way.headers), bodies)


async def bare(given: Payloads, concurrency: int) -> tuple[float, float]:
    """Seconds, and seconds of this process's CPU, that a plain aiohttp client takes to post the
    same payloads: the limit."""
    lanes = iter(given.bodies)

    async def lane(session: aiohttp.ClientSession) -> None:
        for body in lanes:
            async with session.post(given.url, data=body, headers=given.headers) as response:
                await response.read()
                assert response.status == 200

    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as session:
        started, used = time.perf_counter(), time.process_time()
        await asyncio.gather(*(lane(session) for _ in range(concurrency)))
        return time.perf_counter() - started, time.process_time() - used


async def told(platform: Platform, name: str, fault: dict[str, Any]) -> None:
    """Give a practice platform a fault."""
    url = f"{platform.url}/_control/{name}/faults"
    async with aiohttp.ClientSession() as session, session.post(url, json=fault) as answer:
        answer.raise_for_status()


def percentile(values: Sequence[int], share: float) -> float:
    """In milliseconds, of sorted microseconds."""
    return values[min(len(values) - 1, int(len(values) * share))] / 1000
