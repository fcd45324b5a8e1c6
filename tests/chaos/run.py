"""One chaos run: accept posts while killing everything, then compare ledgers and promises."""

from __future__ import annotations

import asyncio
import json
import re
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
from scheduler.store.alert_tables import alerts
from scheduler.store.db import Database
from scheduler.store.faults import StoreError
from scheduler.store.migrate import migrate
from scheduler.store.tables import accounts as account_table
from scheduler.store.tables import deliveries, posts
from scheduler.store.tokens import Scope
from tests.chaos.arena import Arena, alive, arena
from tests.chaos.breaking import Breaker
from tests.chaos.lateness import Lateness, lateness
from tests.chaos.script import CHANNELS, script

SETTLE_WITHIN = 180.0
# Seconds; a practice LinkedIn takes as few posts a day as the real one.
POST_GAP = 1.5


@dataclass(frozen=True)
class Plan:
    """What one run does. `kind`: of database. `lost_every`: the answer of each n-th write is lost
    (0: none). `only`: one kind of step instead of all, `kills` times."""

    seed: int
    kind: str
    kills: int
    posts: int = 100_000
    workers: int = 2
    lost_every: int = 0
    only: str = ""


@dataclass(frozen=True)
class Report:
    """What came of it. `lost`, `doubled`, `silent` and `rude` are what must be empty."""

    accepted: int
    delivered: int
    held: int
    lateness: Lateness
    lost: Sequence[str]
    doubled: Sequence[str]
    silent: Sequence[str]
    rude: Sequence[str]
    refused: int
    done: Counter[str]
    seconds: float
    complaints: Counter[str]

    @property
    def kept(self) -> bool:
        """Whether every promise was."""
        return not (self.lost or self.doubled or self.silent or self.rude)

    def line(self, plan: Plan) -> str:
        """One JSON line."""
        return json.dumps(
            {
                "chaos": plan.kind, "seed": plan.seed, "kills": plan.kills,
                "lost_every": plan.lost_every, "done": dict(self.done),
                "accepted": self.accepted, "delivered": self.delivered, "held": self.held,
                "lost": len(self.lost), "doubled": len(self.doubled),
                "silent": len(self.silent), "rude": len(self.rude), "refused": self.refused,
                **self.lateness.figures(),
                "seconds": round(self.seconds, 1),
            }
        )  # fmt: skip


async def run(directory: Path, plan: Plan) -> Report:
    """Carry the plan out on a fresh database."""
    started = time.monotonic()
    client = Client(plan)
    async with (
        arena(directory, plan.kind, workers=plan.workers) as stage,
        alive([] if stage.store.actor is None else [stage.store.actor]),
    ):
        token = await _prepare(stage)
        others = [actor for actor in stage.actors.values() if actor is not stage.store.actor]
        async with alive(others), aiohttp.ClientSession() as session:
            breaker = Breaker(stage, session)
            if plan.lost_every:
                breaker.keep = FaultName.ANSWER_LOST
                await _lose_answers(stage, session, plan.lost_every)
            steps = script(plan.seed, plan.kind, kills=plan.kills, only=plan.only)
            breaking = asyncio.create_task(breaker.carry_out(steps))
            await client.post(stage.port, token, breaking)
            await breaking
            database = Database(stage.store.url)
            rows = await _settled(database)
            silent = await _untold(database, rows)
            late = await lateness(database)
            await database.close()
            texts = {name: await _markers(stage, session, name) for name in CHANNELS}
    lost, doubled = _compare(client.accepted, rows, texts)
    return Report(
        accepted=len(client.accepted),
        delivered=sum(row.state == State.DELIVERED for row in rows),
        held=sum(row.state == State.HELD for row in rows),
        lateness=late,
        lost=lost, doubled=doubled, silent=silent, rude=client.rude, refused=client.refused,
        done=breaker.done, seconds=time.monotonic() - started, complaints=stage.complaints(),
    )  # fmt: skip


def _compare(
    accepted: Sequence[str], rows: Sequence[Any], texts: dict[str, Counter[str]]
) -> tuple[list[str], list[str]]:
    """What was accepted and is not there, and what is there twice."""
    found: dict[tuple[str, str], list[Any]] = {}
    for row in rows:
        found.setdefault((row.channel, row.marker), []).append(row)
    lost = []
    for marker in accepted:
        for channel in CHANNELS:
            mine = found.get((channel, marker), [])
            if len(mine) != 1:
                lost.append(f"{channel}:{marker} has {len(mine)} deliveries")
            elif mine[0].state not in (State.DELIVERED, State.HELD):
                lost.append(f"{channel}:{marker} is {mine[0].state}: {mine[0].cause}")
            elif mine[0].state == State.DELIVERED and not texts[channel][marker]:
                lost.append(f"{channel}:{marker} is not on the platform")
    doubled = [
        f"{channel}:{marker} is there {count} times"
        for channel in CHANNELS
        for marker, count in texts[channel].items()
        if count > 1
    ]
    return lost, doubled


async def _prepare(stage: Arena) -> str:
    """A migrated database with the practice accounts; a token for the API."""
    settings = Settings(data_dir=stage.disk.path, database_url=stage.store.url)
    async with open_services(settings) as services:
        await migrate(services.database)
        async with services.database.write() as connection:
            made = await tokens.create(
                connection, name="chaos", scopes=[Scope.ADMIN], now=services.clock.micros()
            )
            for name in CHANNELS:
                channel = services.registry[name]
                await accounts.connect(
                    connection,
                    services.vault,
                    channel=channel,
                    name=name,
                    settings=channel.settings_type.model_validate(stage.platform.accounts[name]),
                    now=services.clock.micros(),
                )
    return made.secret


async def _lose_answers(stage: Arena, session: aiohttp.ClientSession, every: int) -> None:
    for name in CHANNELS:
        url = f"{stage.platform.url}/_control/{name}/faults"
        fault = {"name": FaultName.ANSWER_LOST, "every": every}
        async with session.post(url, json=fault) as answer:
            assert answer.status == 201


class Client:
    """Posts as a careful client does: with the same key until an answer is read."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._rng = Random(plan.seed + 1)
        self.accepted: list[str] = []
        self.rude: list[str] = []
        self.refused = 0

    async def post(self, port: int, token: str, breaking: asyncio.Task[None]) -> None:
        """Until the breaking ends."""
        headers = {"Authorization": f"Bearer {token}"}
        url = f"http://127.0.0.1:{port}/api/v1/posts"
        async with aiohttp.ClientSession(headers=headers) as session:
            for number in range(self._plan.posts):
                marker = f"chaos-{self._plan.seed}-{number}"
                await self._until_accepted(session, url, marker)
                self.accepted.append(marker)
                if breaking.done():
                    break
                await asyncio.sleep(self._rng.uniform(0, POST_GAP))

    async def _until_accepted(self, session: aiohttp.ClientSession, url: str, marker: str) -> None:
        due = datetime.now(UTC) + timedelta(seconds=self._rng.uniform(0.2, 4))
        body = {
            "title": f"{marker}.", "body": f"We reopen, says {marker}.", "kind": "essential",
            "at": due.isoformat(), "late_policy": "publish", "language": "en",
        }  # fmt: skip
        headers = {"Idempotency-Key": marker}
        timeout = aiohttp.ClientTimeout(total=5)
        while True:
            try:
                async with session.post(url, json=body, headers=headers, timeout=timeout) as answer:
                    if answer.status == 201:
                        return
                    self._read_refusal(answer.status, await answer.text())
            except (aiohttp.ClientError, TimeoutError):
                pass
            await asyncio.sleep(0.05)

    def _read_refusal(self, status: int, text: str) -> None:
        """Whoever is refused must learn why and what to do."""
        assert status >= 500, text  # nothing is wrong with what we ask
        self.refused += 1
        try:
            errors = json.loads(text)["errors"]
        except (ValueError, KeyError):
            errors = []
        if status != 503 or not errors or not all(error["remedy"] for error in errors):
            self.rude.append(f"{status}: {text[:300]}")


async def _rows(database: Database) -> Sequence[Any]:
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
    rows: Sequence[Any] = []
    while time.monotonic() < deadline:
        try:
            rows = await _rows(database)
        except (StoreError, OSError):  # it may still be starting
            continue
        finally:
            await asyncio.sleep(0.3)
        if all(row.state in quiet for row in rows):
            break
    return rows


async def _untold(database: Database, rows: Sequence[Any]) -> list[str]:
    """Held or failed deliveries of which no alert speaks."""
    async with database.read() as connection:
        data = (await connection.execute(select(alerts.c.data))).scalars().all()
    told = json.dumps(list(data))
    return [
        row.id for row in rows
        if row.state in (State.HELD, State.FAILED) and row.id not in told
    ]  # fmt: skip


async def _markers(stage: Arena, session: aiohttp.ClientSession, name: str) -> Counter[str]:
    """How often each post is there."""
    url = f"{stage.platform.url}/_control/{name}/ledger"
    async with session.get(url) as answer:
        texts = [entry["text"] for entry in await answer.json()]
    return Counter(marker for text in texts for marker in set(re.findall(r"chaos-\d+-\d+", text)))
