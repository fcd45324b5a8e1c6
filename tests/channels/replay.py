"""A server that answers with the documented replies of `tests/wire`, and remembers what it got."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import Path
from typing import Any, Self

from aiohttp import web

from channels.outcome import AccessLost, RecipientOutcome, Rejected

WIRE = Path(__file__).parent.parent / "wire"


@dataclass(frozen=True, slots=True)
class Recorded:
    """One documented reply. `source` and `date` say where it is from; `body` is JSON or text."""

    name: str
    source: str
    date: str
    status: int
    headers: Mapping[str, str]
    body: Any

    def response(self) -> web.Response:
        if isinstance(self.body, str):
            return web.Response(status=self.status, text=self.body, headers=self.headers)
        return web.json_response(self.body, status=self.status, headers=self.headers)


def recorded(channel: str) -> dict[str, Recorded]:
    """Every documented reply of a channel, by name."""
    return {
        path.stem: Recorded(path.stem, **json.loads(path.read_text()))
        for path in sorted((WIRE / channel).glob("*.json"))
    }


def assert_read(
    outcome: RecipientOutcome, reply: Recorded, kind: type[Any], said: Mapping[str, Any]
) -> None:
    """That `reply` became an outcome of this kind, which says `said` (by dotted names), keeps the
    reply's status as evidence, and tells what to do where a person has to."""
    assert type(outcome) is kind, outcome
    assert {path: attrgetter(path)(outcome) for path in said} == said
    assert outcome.evidence.status == reply.status
    if isinstance(outcome, AccessLost):
        assert outcome.remedy
    if isinstance(outcome, Rejected):
        assert outcome.problem.detail
        assert outcome.problem.remedy


@dataclass(slots=True)
class Asked:
    """One request that arrived."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(slots=True)
class Replay:
    """Answers each route with its reply, anything else with 599."""

    routes: dict[tuple[str, str], Recorded] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    url: str = ""
    _runner: web.AppRunner | None = None

    def on(self, method: str, path: str, reply: Recorded) -> None:
        """Answer `method` on paths that start with `path` (the longest match counts)."""
        self.routes[method, path] = reply

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        self.asked.append(Asked(request.method, request.raw_path, request.headers.copy(), body))
        fitting = [
            path
            for method, path in self.routes
            if method == request.method and request.path.startswith(path)
        ]
        if not fitting:
            return web.Response(status=599, text=f"no reply for {request.method} {request.path}")
        return self.routes[request.method, max(fitting, key=len)].response()

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
