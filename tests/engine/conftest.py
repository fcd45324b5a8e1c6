"""A whole engine: services, practice accounts, a worker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer
from sqlalchemy import select

from channels.outcome import Outcome
from channels.sandbox.faults import Fault, FaultName
from channels.sandbox.server import PracticeServer
from scheduler.clock import Clock, moment
from scheduler.doorbell import Doorbell
from scheduler.drafts import Draft
from scheduler.services import Services, open_services
from scheduler.settings import Settings
from scheduler.store import accounts, tokens
from scheduler.store.alert_tables import alerts
from scheduler.store.tables import accounts as account_table
from scheduler.store.tables import deliveries
from scheduler.store.tokens import Caller, Scope
from scheduler.web.app import create_app
from scheduler.worker import Worker
from tests.support.clocks import SetClock

CONNECTED = {"facebook", "linkedin"}
CALLER = Caller(id="tests", name="tests", scopes=frozenset(Scope))
PATIENCE = 30.0
# Seconds: what is due then, an engine that arms early has armed at once, and it is not sent before
# the test puts the clock there, however slow the machine is.
AHEAD = 50


async def broadcast(*_args: Any, **_kwargs: Any) -> Outcome:
    """These tests publish to pages; broadcasts have their own."""
    raise AssertionError("nothing here is addressed")


@dataclass
class Engine:
    """What a test drives and looks at."""

    services: Services
    practice: PracticeServer
    accounts: Mapping[str, str]

    async def post(
        self, *channels: str, seconds: float = 0, title: str = "We reopen", **words: Any
    ) -> str:
        """Accept a post for these channels, due in so many seconds; its id."""
        at = "now" if not seconds else (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()
        draft = Draft.model_validate(
            {
                "title": title,
                "body": "Come and see us.",
                "kind": "essential",
                "accounts": [self.accounts[channel] for channel in channels],
                "at": at,
                **words,
            }
        )
        accepted = await self.services.intake.accept(draft, CALLER)
        return str(accepted.answer["id"])

    async def rows(self, post_id: str) -> Sequence[Any]:
        """The post's deliveries, oldest first."""
        statement = (
            select(deliveries).where(deliveries.c.post_id == post_id).order_by(deliveries.c.id)
        )
        async with self.services.database.read() as connection:
            return (await connection.execute(statement)).all()

    async def until(self, post_id: str, met: Callable[[Sequence[Any]], bool]) -> Sequence[Any]:
        """Wait until the post's deliveries are as wanted."""
        rows: Sequence[Any] = []
        try:
            async with asyncio.timeout(PATIENCE):
                while True:
                    rows = await self.rows(post_id)
                    if met(rows):
                        return rows
                    await asyncio.sleep(0.02)
        except TimeoutError:
            raise AssertionError([(row.state, row.cause) for row in rows]) from None

    async def settled(self, post_id: str, *states: str) -> Sequence[Any]:
        """Wait until the deliveries are in exactly these states."""
        wanted = sorted(states)
        return await self.until(post_id, lambda rows: sorted(r.state for r in rows) == wanted)

    async def comes_due(self, post_id: str) -> None:
        """Put the clock to when the last of the post's deliveries is due."""
        clock = self.services.clock
        assert isinstance(clock, SetClock)
        due = max(row.due_at for row in await self.rows(post_id))
        clock.set(max(moment(due), clock.now()))

    async def account(self, channel: str) -> Any:
        statement = select(account_table).where(account_table.c.id == self.accounts[channel])
        async with self.services.database.read() as connection:
            return (await connection.execute(statement)).one()

    async def alerts(self) -> Sequence[Any]:
        async with self.services.database.read() as connection:
            return (await connection.execute(select(alerts))).all()

    def fault(self, channel: str, name: FaultName, **how: Any) -> None:
        self.practice.platforms[channel].faults.add(Fault(name, **how))

    def mend(self, channel: str) -> None:
        self.practice.platforms[channel].faults.clear()

    def ledger(self, channel: str) -> list[str]:
        """Texts that exist on the practice platform."""
        return [entry.text for entry in self.practice.ledger.entries(channel)]

    def worker(self) -> AbstractAsyncContextManager[Worker]:
        """A worker without Redis: SQL alone carries the promises."""
        return Worker(self.services, redis_url=None, broadcast=broadcast).running()


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    return Settings(
        data_dir=tmp_path,
        database_url=database_url,
        redis_url="none",
        private_addresses_ok=True,
        retry_base=0.05,
        retry_cap=0.5,
        find_patience=0.3,
        confirm_gone_after=0.3,
        send_timeout=2,
        lease=5,
        grace=2,
        breaker_failures=50,
    )


@asynccontextmanager
async def opened(
    settings: Settings,
    practice: PracticeServer,
    clock: Clock | None = None,
    connected: Collection[str] = CONNECTED,
    doorbell: Doorbell | None = None,
) -> AsyncIterator[Engine]:
    """Services with these practice accounts connected, and the built-in blog."""
    async with open_services(settings, clock=clock, doorbell=doorbell) as services:
        ids: dict[str, str] = {}
        wanted = [
            (a.adapter, a.name, a.settings) for a in practice.accounts() if a.adapter in connected
        ]
        wanted.append(("blog", "Our site", {"base_url": "http://127.0.0.1:1"}))
        for adapter, name, values in wanted:
            channel = services.registry[adapter]
            async with services.database.write() as connection:
                ids[adapter] = await accounts.connect(
                    connection,
                    services.vault,
                    channel=channel,
                    name=name,
                    settings=channel.settings_type.model_validate(dict(values)),
                    now=services.clock.micros(),
                )
        yield Engine(services, practice, ids)


@pytest.fixture
def clock() -> SetClock:
    """The right time, until a test sets another."""
    return SetClock()


@pytest.fixture
def connected() -> Collection[str]:
    """The practice channels that the engine has accounts on."""
    return CONNECTED


@pytest.fixture
async def engine(
    settings: Settings, practice: PracticeServer, clock: SetClock, connected: Collection[str]
) -> AsyncIterator[Engine]:
    async with opened(settings, practice, clock, connected) as engine:
        yield engine


@dataclass
class Answer:
    """What a platform answered to a send: `there`, and not heard before it is `given`."""

    there: asyncio.Event = field(default_factory=asyncio.Event)
    given: asyncio.Event = field(default_factory=asyncio.Event)


def keep_answer(monkeypatch: pytest.MonkeyPatch, engine: Engine, channel: str) -> Answer:
    """To the next send there: it stays under way for as long as a test needs, and no longer."""
    answer, adapter = Answer(), type(engine.services.registry[channel])
    send = adapter.send  # type: ignore[attr-defined]

    async def sends(*args: Any, **how: Any) -> Outcome:
        outcome: Outcome = await send(*args, **how)
        if not answer.there.is_set():
            answer.there.set()
            await answer.given.wait()
        return outcome

    monkeypatch.setattr(adapter, "send", sends)
    return answer


def unhurried(settings: Settings) -> Settings:
    """Gives nothing up because time went by: the machine may be slow."""
    return settings.model_copy(update={"send_timeout": 60, "lease": 300, "worker_dead_after": 300})


@pytest.fixture
async def early(
    settings: Settings, practice: PracticeServer, clock: SetClock, connected: Collection[str]
) -> AsyncIterator[Engine]:
    """Whatever a test does to what is armed (`AHEAD`), it does before it is due."""
    ahead = unhurried(settings).model_copy(update={"arm_ahead": 60})
    async with opened(ahead, practice, clock, connected) as engine:
        yield engine


@pytest.fixture
async def api(engine: Engine) -> AsyncIterator[TestClient[Any, Any]]:
    """The API of the engine's services, with a token that may do everything."""
    async with client_of(engine) as client:
        yield client


@asynccontextmanager
async def client_of(engine: Engine) -> AsyncIterator[TestClient[Any, Any]]:
    """The API of these services, with a token that may do everything."""
    async with engine.services.database.write() as connection:
        made = await tokens.create(
            connection, name="tests", scopes=[Scope.ADMIN], now=engine.services.clock.micros()
        )
    headers = {"Authorization": f"Bearer {made.secret}"}
    async with TestClient(TestServer(create_app(engine.services)), headers=headers) as client:
        yield client
