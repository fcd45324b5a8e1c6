"""One chaos run: accept posts while killing everything, then compare ledgers and promises."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import aiohttp
from sqlalchemy import select

from channels.sandbox.faults import FaultName
from scheduler.deliveries import State
from scheduler.services import open_services
from scheduler.settings import Settings
from scheduler.store import accounts, tokens
from scheduler.store.db import Database
from scheduler.store.migrate import migrate
from scheduler.store.tables import alerts, deliveries
from scheduler.store.tokens import Scope
from tests.chaos.arena import Arena, arena

CHANNELS = ("facebook", "linkedin")
SETTLE_WITHIN = 120.0
FREEZE = 7.0


@dataclass(frozen=True)
class Plan:
    """What one run does. `lost_every`: the answer of each n-th write is lost (0: none)."""

    seed: int
    kills: int
    posts: int
    workers: int = 2
    lost_every: int = 0
    freezes: bool = True
    gap: tuple[float, float] = (0.3, 1.2)


@dataclass(frozen=True)
class Report:
    """What came of it. `lost`, `doubled`, `silent` are what must be empty."""

    accepted: int
    delivered: int
    held: int
    lost: Sequence[str]
    doubled: Sequence[str]
    silent: Sequence[str]
    kills: Counter[str]
    seconds: float

    @property
    def kept(self) -> bool:
        """Whether every promise was."""
        return not (self.lost or self.doubled or self.silent)

    def line(self, plan: Plan, kind: str) -> str:
        """One JSON line."""
        return json.dumps(
            {
                "chaos": kind, "seed": plan.seed, "kills": sum(self.kills.values()),
                "killed": dict(self.kills), "accepted": self.accepted,
                "delivered": self.delivered, "held": self.held, "lost": len(self.lost),
                "doubled": len(self.doubled), "silent": len(self.silent),
                "seconds": round(self.seconds, 1),
            }
        )  # fmt: skip


async def run(directory: Path, database_url: str, plan: Plan) -> Report:
    """Carry the plan out on a fresh database."""
    started = time.monotonic()
    rng = Random(plan.seed)
    token = await _prepare(directory, database_url)
    async with arena(directory, database_url, workers=plan.workers) as stage:
        database = Database(database_url)
        await _connect(stage, directory, database_url)
        if plan.lost_every:
            await _lose_answers(stage, plan.lost_every)
        kills: Counter[str] = Counter()
        killer = asyncio.create_task(_kill(stage, plan, rng, kills))
        accepted = await _post(stage, token, plan, Random(plan.seed + 1), killer)
        await killer
        rows = await _settled(database)
        silent = await _untold(database, rows)
        texts = {name: await _texts(stage, name) for name in CHANNELS}
        await database.close()
    by_account = Counter((row.channel, row.marker) for row in rows if row.state == "delivered")
    lost, doubled = [], []
    for marker in accepted:
        for channel in CHANNELS:
            there = sum(f"{marker}." in text for text in texts[channel])
            row = [r for r in rows if r.marker == marker and r.channel == channel]
            if len(row) != 1 or (there == 0 and row[0].state == State.DELIVERED):
                lost.append(f"{channel}:{marker}")
            if there > 1:
                doubled.append(f"{channel}:{marker}")
            if row and row[0].state not in (State.DELIVERED, State.HELD):
                lost.append(f"{channel}:{marker} is {row[0].state}")
    held = sum(row.state == State.HELD for row in rows)
    return Report(
        len(accepted), sum(by_account.values()), held, lost, doubled, silent, kills,
        time.monotonic() - started,
    )  # fmt: skip


async def _prepare(directory: Path, database_url: str) -> str:
    settings = Settings(data_dir=directory / "data", database_url=database_url)
    async with open_services(settings) as services:
        await migrate(services.database)
        async with services.database.write() as connection:
            made = await tokens.create(
                connection, name="chaos", scopes=[Scope.ADMIN], now=services.clock.micros()
            )
    return made.secret


async def _connect(stage: Arena, directory: Path, database_url: str) -> None:
    settings = Settings(data_dir=directory / "data", database_url=database_url)
    async with open_services(settings) as services:
        for name in CHANNELS:
            channel = services.registry[name]
            async with services.database.write() as connection:
                await accounts.connect(
                    connection,
                    services.vault,
                    channel=channel,
                    name=name,
                    settings=channel.settings_type.model_validate(stage.platform.accounts[name]),
                    now=services.clock.micros(),
                )


async def _lose_answers(stage: Arena, every: int) -> None:
    async with aiohttp.ClientSession() as session:
        for name in CHANNELS:
            url = f"{stage.platform.url}/_control/{name}/faults"
            fault = {"name": FaultName.ANSWER_LOST, "every": every}
            async with session.post(url, json=fault) as answer:
                assert answer.status == 201


async def _kill(stage: Arena, plan: Plan, rng: Random, kills: Counter[str]) -> None:
    """Random victims at random instants."""
    names = sorted(stage.actors)
    while sum(kills.values()) < plan.kills:
        await asyncio.sleep(rng.uniform(*plan.gap))
        victim = rng.choice([*names, "worker0", "worker0", "flush", "freeze"])
        if victim == "flush":
            await asyncio.to_thread(stage.flush_redis)
            kills["flush"] += 1
        elif victim == "freeze":
            if plan.freezes and stage.actors["worker1"].signal(signal.SIGSTOP):
                await asyncio.sleep(FREEZE)
                stage.actors["worker1"].signal(signal.SIGCONT)
                kills["freeze"] += 1
        elif stage.actors[victim].signal(signal.SIGKILL):
            kills[victim] += 1


async def _post(
    stage: Arena, token: str, plan: Plan, rng: Random, killer: asyncio.Task[None]
) -> list[str]:
    """Accept posts until the killing ends: markers of what was answered with 201."""
    accepted = []
    headers = {"Authorization": f"Bearer {token}"}
    async with aiohttp.ClientSession(headers=headers) as session:
        for number in range(plan.posts):
            marker = f"chaos-{plan.seed}-{number}"
            due = datetime.now(UTC) + timedelta(seconds=rng.uniform(0.2, 4))
            body = {
                "title": f"{marker}.", "body": f"We reopen, says {marker}.", "kind": "essential",
                "at": due.isoformat(), "language": "en",
            }  # fmt: skip
            await _until_accepted(session, stage.port, body, marker)
            accepted.append(marker)
            if killer.done():
                break
            await asyncio.sleep(rng.uniform(0, 0.1))
    return accepted


async def _until_accepted(
    session: aiohttp.ClientSession, port: int, body: dict[str, Any], key: str
) -> None:
    """As a careful client does: the same key until an answer is read."""
    while True:
        try:
            async with session.post(
                f"http://127.0.0.1:{port}/api/v1/posts",
                json=body,
                headers={"Idempotency-Key": key},
                timeout=aiohttp.ClientTimeout(total=5),
            ) as answer:
                if answer.status == 201:
                    return
                assert answer.status >= 500, await answer.text()
        except (aiohttp.ClientError, TimeoutError):
            await asyncio.sleep(0.05)


async def _rows(database: Database) -> Sequence[Any]:
    from scheduler.store.tables import accounts as account_table
    from scheduler.store.tables import posts

    statement = (
        select(
            deliveries.c.id,
            deliveries.c.state,
            deliveries.c.cause,
            account_table.c.channel,
            posts.c.title,
        )
        .join(account_table, account_table.c.id == deliveries.c.account_id)
        .join(posts, posts.c.id == deliveries.c.post_id)
    )

    @dataclass(frozen=True)
    class Row:
        id: str
        state: str
        cause: str
        channel: str
        marker: str

    async with database.read() as connection:
        found = (await connection.execute(statement)).all()
    return [Row(r.id, r.state, r.cause, r.channel, r.title.rstrip(".")) for r in found]


async def _settled(database: Database) -> Sequence[Any]:
    """Wait until nothing is on its way any more."""
    quiet = {State.DELIVERED, State.HELD, State.FAILED, State.REROUTED}
    deadline = time.monotonic() + SETTLE_WITHIN
    while True:
        rows = await _rows(database)
        if all(row.state in quiet for row in rows) or time.monotonic() > deadline:
            return rows
        await asyncio.sleep(0.2)


async def _untold(database: Database, rows: Sequence[Any]) -> list[str]:
    """Held or failed deliveries of which no alert speaks."""
    async with database.read() as connection:
        data = (await connection.execute(select(alerts.c.data))).scalars().all()
    told = json.dumps(list(data))
    return [
        row.id for row in rows
        if row.state in (State.HELD, State.FAILED) and row.id not in told
    ]  # fmt: skip


async def _texts(stage: Arena, name: str) -> list[str]:
    url = f"{stage.platform.url}/_control/{name}/ledger"
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        return [entry["text"] for entry in await answer.json()]
