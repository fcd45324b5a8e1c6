"""What the conformance suite needs to know about a channel, and what it tries it with.

Each channel has a `Bench` as `BENCH` in `tests/channels/<name>/bench.py` or in
`tests/channels/test_<name>.py` (dots in the name become underscores).
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

from pydantic import BaseModel, SecretStr

from channels.base import Account, Broadcasts, Channel, Publishes, Recipient, SiteStore
from channels.http import HttpClient, Reply
from channels.outcome import (
    AccessLost,
    Gone,
    HealthStatus,
    Outcome,
    RecipientOutcome,
    Rejected,
    Throttled,
    Unavailable,
    Unconfirmed,
)
from channels.posts import Message, Post
from channels.registry import ADAPTERS
from channels.sandbox.faults import FaultName
from channels.sandbox.ledger import Entry
from channels.sandbox.server import PracticeAccount, Sandbox

Outcomes = tuple[type[Any], ...]

POST = Post(
    id="post-1",
    title="The shop opens again",
    body="We open again on Monday at nine, with fresh bread.",
)
RECIPIENT = Recipient(
    id="reader-1",
    address="amelie@example.org",
    name="Amelie",
    unsubscribe_url="https://shop.example/u/abc",
)


class Bench:
    """How to try out one channel; the defaults suit a platform with an HTTP API.

    `platform`: the practice platform's name, None when there is none. `kind`: what the ledger
    calls a published post. `requests`: how many HTTP requests a text post takes. `exempt`: checks
    that do not apply, each with the reason. `outcomes`, `health`: what a fault leads to, where it
    differs. `speaks_first`: the client does, as in HTTP. `throttled_for`: at least and at most,
    when the platform says 90 seconds (some say it in whole minutes).
    """

    name: ClassVar[str]
    platform: ClassVar[str | None] = None
    kind: ClassVar[str] = "post"
    requests: ClassVar[int] = 1
    exempt: ClassVar[Mapping[str, str]] = {}
    outcomes: ClassVar[Mapping[FaultName, Outcomes]] = {}
    health: ClassVar[Mapping[FaultName, HealthStatus]] = {}
    speaks_first: ClassVar[bool] = True
    throttled_for: ClassVar[tuple[timedelta, timedelta]] = (
        timedelta(seconds=50),
        timedelta(seconds=125),
    )

    def settings(self, practice: PracticeAccount | None) -> Mapping[str, Any]:
        """The settings of the account to try; `practice` is the platform's first account."""
        assert practice is not None
        return practice.settings

    def reader(self, practice: PracticeAccount | None) -> Recipient:
        """Somebody who can be written to."""
        del practice
        return RECIPIENT

    def elsewhere(self, settings: Mapping[str, Any], base: str, port: int) -> Mapping[str, Any]:
        """The same account on another port of this machine; `base` is the platform's URL."""
        other = f"http://127.0.0.1:{port}"
        return {
            name: value.replace(base, other) if isinstance(value, str) else value
            for name, value in settings.items()
        }

    def published(self, platform: Sandbox) -> list[Entry]:
        """What readers can see."""
        return platform.ledger.entries(platform.name, kind=self.kind)

    def shown(self, entry: Entry) -> str:
        """The text as readers see it."""
        return entry.text

    @asynccontextmanager
    async def site(self, folder: Path) -> AsyncIterator[SiteStore | None]:
        """The built-in blog's store, for the adapter that needs one."""
        del folder
        yield None

    def expects(self, fault: FaultName) -> Outcomes:
        return {**_OUTCOMES, **self.outcomes}[fault]


_OUTCOMES: Mapping[FaultName, Outcomes] = {
    FaultName.THROTTLED: (Throttled,),
    FaultName.TOKEN_DEAD: (AccessLost,),
    FaultName.PERMISSION_LOST: (AccessLost,),
    FaultName.PAGE_GONE: (Gone,),
    FaultName.REJECTED: (Rejected,),
    FaultName.SERVER_ERROR: (Unavailable, Unconfirmed),
    FaultName.ANSWER_LOST: (Unconfirmed,),
    FaultName.MALFORMED: (Unconfirmed,),
}


def benches() -> dict[str, Bench]:
    """The bench of every adapter. Error: AssertionError, naming the adapter that has none."""
    found: dict[str, Bench] = {}
    for name in ADAPTERS:
        stem = name.replace(".", "_")
        places = [f"tests.channels.{stem}", f"tests.channels.{stem}.bench"]
        places = [places[1]] if find_spec(places[0]) and find_spec(places[1]) else []
        places = places or [f"tests.channels.test_{stem}"]
        bench = getattr(import_module(places[0]), "BENCH", None) if find_spec(places[0]) else None
        assert isinstance(bench, Bench), f"{name} has no bench: see tests/channels/conformance.py"
        assert bench.name == name
        found[name] = bench
    return found


class CountingClient(HttpClient):
    """Counts requests; waits no longer than `patience` seconds for an answer, when set."""

    def __init__(self) -> None:
        super().__init__(private_ok=True)
        self.requests = 0
        self.patience: float | None = None

    async def request(self, *args: Any, **kwargs: Any) -> Reply:
        self.requests += 1
        if self.patience is not None:
            kwargs["timeout"] = self.patience
        return await super().request(*args, **kwargs)


@dataclass(slots=True)
class Spoiler:
    """A server that reads what it is sent and does not answer as it should."""

    answer: bytes | None
    listens: bool
    port: int = 0
    received: asyncio.Event = field(default_factory=asyncio.Event)
    writers: list[asyncio.StreamWriter] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        if self.listens:
            await reader.read(65536)
        self.received.set()
        if self.answer is None:
            await reader.read()
        else:
            writer.write(self.answer)
        writer.close()


@asynccontextmanager
async def spoiler(answer: bytes | None, *, listens: bool = True) -> AsyncIterator[Spoiler]:
    """Reads a request if it `listens`, then answers `answer` and hangs up; None: says nothing."""
    spoiled = Spoiler(answer, listens)
    server = await asyncio.start_server(spoiled.serve, "127.0.0.1", 0)
    spoiled.port = server.sockets[0].getsockname()[1]
    yield spoiled
    server.close()
    for writer in spoiled.writers:
        writer.transport.abort()


@contextmanager
def closed_port() -> Iterator[int]:
    """A port that refuses every connection: taken, and nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


@dataclass(slots=True)
class Rig:
    """One channel, ready to be tried. `base`: where its practice platform is mounted."""

    bench: Bench
    adapter: Channel
    account: Account[Any]
    settings: Mapping[str, Any]
    recipient: Recipient
    http: CountingClient
    platform: Sandbox | None
    base: str

    def message(self, post: Post = POST) -> Message:
        return self.adapter.render(post, self.account)

    async def deliver(
        self, message: Message, *, key: str = "key-1", account: Account[Any] | None = None
    ) -> Outcome | RecipientOutcome:
        """Publish it, or write it to one person, as the channel does."""
        account = account or self.account
        if isinstance(self.adapter, Publishes):
            return await self.adapter.send(message, account, key=key)
        assert isinstance(self.adapter, Broadcasts)
        courier = await self.adapter.open(message, account)
        if isinstance(courier, Outcome):
            return courier
        try:
            return await courier.send(self.recipient, key=key)
        finally:
            await courier.close()

    def published(self) -> list[Entry]:
        assert self.platform is not None
        return self.bench.published(self.platform)

    def elsewhere(self, port: int) -> Account[Any]:
        settings = self.bench.elsewhere(self.settings, self.base, port)
        return connected(self.adapter, settings)

    def secrets(self) -> set[str]:
        return set(secrets_in(self.account.settings))


def connected(adapter: Channel, settings: Mapping[str, Any]) -> Account[Any]:
    return Account(
        id="account-1", name="The shop", settings=adapter.settings_type.model_validate(settings)
    )


def secrets_in(value: Any) -> Iterator[str]:
    """Every credential in a settings model, at any depth."""
    if isinstance(value, SecretStr):
        yield from filter(None, [value.get_secret_value()])
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from secrets_in(getattr(value, name))
    elif isinstance(value, tuple | list):
        for item in value:
            yield from secrets_in(item)
