"""The harness of the practice platforms: mounts them on one local port and gives each faults, a
ledger and a control API.

`POST /_control/{platform}/faults` `{"name": "page-gone", "account": "", "times": null, …}`,
`DELETE /_control/{platform}/faults[?name=…]`, `GET /_control/{platform}/faults`,
`GET /_control/{platform}/ledger[?account=…&deleted=1]`.
"""

from __future__ import annotations

import asyncio
import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, ClassVar, Protocol, Self, runtime_checkable

from aiohttp import web

from channels.local import local_url
from channels.sandbox.faults import Fault, FaultName, Faults
from channels.sandbox.front import command, front_page
from channels.sandbox.ledger import Ledger
from channels.sandbox.rush import Rush

# Each module defines `SANDBOX`, its practice platform's class.
SANDBOXES: Mapping[str, str] = {
    "newsletter": "channels.newsletter.sandbox",
    "facebook": "channels.facebook.sandbox",
    "linkedin": "channels.linkedin.sandbox",
    "messenger": "channels.messenger.sandbox",
    "mastodon": "channels.mastodon.sandbox",
    "bluesky": "channels.bluesky.sandbox",
    "webhook": "channels.webhook.sandbox",
    "wordpress": "channels.blog.wordpress.sandbox",
    "ghost": "channels.blog.ghost.sandbox",
}


@dataclass(frozen=True, slots=True)
class PracticeAccount:
    """What to connect to use the practice platform: settings as the adapter's `settings_type`
    takes them, credentials in clear (they open nothing real).

    `contacts`: the people whom an addressed channel can write to, each with `address`, `name` and
    `language`."""

    adapter: str
    name: str
    settings: Mapping[str, Any]
    contacts: Sequence[Mapping[str, str]] = ()


class Sandbox(ABC):
    """One practice platform. Subclasses serve the documented API and keep the ledger."""

    name: ClassVar[str]

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.faults = Faults()

    @abstractmethod
    def app(self) -> web.Application:
        """The platform's HTTP API; mounted below `/{name}`."""

    @abstractmethod
    def accounts(self, base_url: str) -> Sequence[PracticeAccount]:
        """The accounts that exist on it; `base_url` is where `app` is mounted."""

    async def start(self, host: str) -> None:  # noqa: B027 -- most platforms have only HTTP
        """Open further sockets (SMTP); called once before `accounts`."""

    async def stop(self) -> None:  # noqa: B027 -- as start
        """Close what `start` opened."""


@runtime_checkable
class HasLogin(Protocol):
    """A practice platform whose accounts are connected by a login in the browser."""

    def practice_app(self, base_url: str) -> Mapping[str, Any]:
        """Our application there; `base_url` is where the platform is mounted."""
        ...


class LostAnswer(web.Response):
    """Cuts the connection instead of answering: what was written stays written."""

    async def prepare(self, request: web.BaseRequest) -> Any:
        if request.transport is not None:
            request.transport.abort()
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        """There is nothing to end."""


async def apply_transport_faults(
    sandbox: Sandbox, account: str = "", *, write: bool
) -> web.StreamResponse | None:
    """The faults that every platform shows alike, before it handles the request.

    Returns the answer to give instead of handling it, or None to go on. `ANSWER_LOST` and
    `MALFORMED` come after the write: see `spoil_answer`.
    """
    strike = sandbox.faults.strike if write else sandbox.faults.holds
    slow = strike(FaultName.SLOW, account)
    if slow is not None:
        await asyncio.sleep(slow.seconds)
    if strike(FaultName.HANG, account) is not None:
        await asyncio.sleep(3600)
    if strike(FaultName.CUT, account) is not None:
        return LostAnswer()
    return None


def spoil_answer(
    sandbox: Sandbox, answer: web.StreamResponse, account: str = ""
) -> web.StreamResponse:
    """After a write: the answer, or what the client gets instead of it."""
    if sandbox.faults.strike(FaultName.ANSWER_LOST, account) is not None:
        return LostAnswer()
    if sandbox.faults.strike(FaultName.MALFORMED, account) is not None:
        return web.Response(
            status=200, body=b"<html>\x00 not what you asked", content_type="text/html"
        )
    return answer


class PracticeServer:
    """The practice platforms of one installation, on one port (0: any free one)."""

    def __init__(
        self,
        ledger: Ledger,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        sandboxes: Mapping[str, str] = SANDBOXES,
    ) -> None:
        self.ledger = ledger
        self.rush = Rush()
        self._host = host
        self._port = port
        self._runner: web.AppRunner | None = None
        self._started: list[Sandbox] = []
        self.platforms: dict[str, Sandbox] = {
            name: import_module(module).SANDBOX(ledger) for name, module in sandboxes.items()
        }

    @property
    def url(self) -> str:
        return local_url(self._host, self._port)

    @property
    def port(self) -> int:
        return self._port

    async def __aenter__(self) -> Self:
        try:
            await self._start()
        except BaseException:
            await self._stop()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stop()

    async def _start(self) -> None:
        app = web.Application(client_max_size=64 * 1024 * 1024, middlewares=[self.rush.count])
        for name, platform in self.platforms.items():
            self._started.append(platform)
            await platform.start(self._host)
            app.add_subapp(f"/{name}", platform.app())
        app.router.add_get("/", self._front)
        app.router.add_get("/_control/{platform}/faults", self._list_faults)
        app.router.add_post("/_control/{platform}/faults", self._add_fault)
        app.router.add_delete("/_control/{platform}/faults", self._clear_faults)
        app.router.add_get("/_control/{platform}/ledger", self._list_ledger)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._host, self._port)
        await site.start()
        self._port = self._runner.addresses[0][1]

    async def _stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
        while self._started:
            await self._started.pop().stop()

    def accounts(self) -> list[PracticeAccount]:
        return [
            account
            for name, platform in self.platforms.items()
            for account in platform.accounts(f"{self.url}/{name}")
        ]

    def apps(self) -> dict[str, Mapping[str, Any]]:
        """By platform where people log in: its application, as `app_type` takes it."""
        return {
            name: platform.practice_app(f"{self.url}/{name}")
            for name, platform in self.platforms.items()
            if isinstance(platform, HasLogin)
        }

    async def _front(self, _request: web.Request) -> web.Response:
        published = {name: self.ledger.entries(name) for name in self.platforms}
        commands = {
            name: [
                command(account.adapter, account.name, account.settings)
                for account in platform.accounts(f"{self.url}/{name}")
            ]
            for name, platform in self.platforms.items()
        }
        return web.Response(text=front_page(published, commands), content_type="text/html")

    def _platform(self, request: web.Request) -> Sandbox:
        name = request.match_info["platform"]
        if name not in self.platforms:
            raise web.HTTPNotFound(text=f"no practice platform {name!r}: {sorted(self.platforms)}")
        return self.platforms[name]

    async def _list_faults(self, request: web.Request) -> web.Response:
        return web.json_response(
            [dataclasses.asdict(fault) for fault in self._platform(request).faults.listed()]
        )

    async def _add_fault(self, request: web.Request) -> web.Response:
        fields = await request.json()
        try:
            fault = Fault(**{**fields, "name": FaultName(fields["name"])})
        except (KeyError, TypeError, ValueError) as error:
            raise web.HTTPUnprocessableEntity(
                text=f"{error}; faults: {', '.join(FaultName)}"
            ) from error
        self._platform(request).faults.add(fault)
        return web.json_response(dataclasses.asdict(fault), status=201)

    async def _clear_faults(self, request: web.Request) -> web.Response:
        name = request.query.get("name")
        self._platform(request).faults.clear(
            None if name is None else FaultName(name), request.query.get("account")
        )
        return web.Response(status=204)

    async def _list_ledger(self, request: web.Request) -> web.Response:
        platform = self._platform(request)
        entries = self.ledger.entries(
            platform.name, request.query.get("account"), deleted="deleted" in request.query
        )
        return web.json_response([dataclasses.asdict(entry) for entry in entries])
