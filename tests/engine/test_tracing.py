"""One delivery followed by its id, from the POST to its outcome, at a real OTLP receiver."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from channels.sandbox.faults import FaultName
from channels.sandbox.server import PracticeServer
from scheduler import tracing
from scheduler.settings import Settings
from scheduler.store import tokens
from scheduler.store.tokens import Scope
from scheduler.web.app import create_app
from tests.engine.conftest import Engine, opened

CALLER = "4bf92f3577b34da6a3ce929d0e0e4736"


@dataclass(frozen=True, slots=True)
class Span:
    """What arrived of one."""

    name: str
    id: str
    parent: str
    trace: str
    values: Mapping[str, str | int]
    microseconds: int


@dataclass
class Collector:
    """Keeps what is exported to it."""

    url: str = ""
    raw: bytes = b""
    services: set[str] = field(default_factory=set)
    spans: list[Span] = field(default_factory=list)

    async def take(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.raw += body
        told = ExportTraceServiceRequest.FromString(body)
        for group in told.resource_spans:
            named = {one.key: one.value.string_value for one in group.resource.attributes}
            self.services.add(named["service.name"])
            for scope in group.scope_spans:
                self.spans += [_span(one) for one in scope.spans]
        return web.Response(body=b"", content_type="application/x-protobuf")

    def of(self, delivery_id: str) -> dict[str, Span]:
        """By name, the last of each."""
        return {
            s.name: s for s in self.spans if s.values.get("estafette.delivery.id") == delivery_id
        }

    def below(self, span: Span) -> list[Span]:
        return [one for one in self.spans if one.parent == span.id]


def _span(one: Any) -> Span:
    return Span(
        one.name,
        one.span_id.hex(),
        one.parent_span_id.hex(),
        one.trace_id.hex(),
        {each.key: each.value.string_value or each.value.int_value for each in one.attributes},
        (one.end_time_unix_nano - one.start_time_unix_nano) // 1000,
    )


def named(spans: Iterable[Span], name: str) -> Span:
    (found,) = [one for one in spans if one.name == name]
    return found


@pytest.fixture
async def collector(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Collector]:
    collector = Collector()
    app = web.Application()
    app.router.add_post("/v1/traces", collector.take)
    async with TestServer(app) as server:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", str(server.make_url("")))
        yield collector


async def post(engine: Engine, *channels: str, traceparent: str = "") -> tuple[str, str]:
    """POST over HTTP: the post's id, and the token that was used."""
    services = engine.services
    async with services.database.write() as connection:
        made = await tokens.create(
            connection, name="t", scopes=[Scope.WRITE], now=services.clock.micros()
        )
    headers = {"Authorization": f"Bearer {made.secret}"}
    if traceparent:
        headers["traceparent"] = traceparent
    body = {
        "title": "We reopen", "body": "Come and see us.", "at": "now", "kind": "essential",
        "accounts": [engine.accounts[channel] for channel in channels],
    }  # fmt: skip
    async with (
        TestClient(TestServer(create_app(services))) as client,
        client.post("/api/v1/posts", json=body, headers=headers) as answer,
    ):
        assert answer.status == 201, await answer.text()
        return str((await answer.json())["id"]), made.secret


async def test_a_delivery_is_followed_from_the_request_to_its_outcome(
    settings: Settings, practice: PracticeServer, collector: Collector
) -> None:
    settings = settings.model_copy(update={"tracing": True})
    async with opened(settings, practice) as engine, engine.worker():
        post_id, secret = await post(
            engine, "facebook", traceparent=f"00-{CALLER}-00f067aa0ba902b7-01"
        )
        (row,) = await engine.settled(post_id, "delivered")
    request = named(collector.spans, "POST /api/v1/posts")
    assert (request.trace, request.parent) == (CALLER, "00f067aa0ba902b7")
    assert request.values["http.response.status_code"] == 201
    accept = named(collector.below(request), "accept")
    assert accept.values["estafette.post.id"] == post_id
    # The worker probes the accounts as it starts: what is planned meanwhile is planned again.
    plans = [one for one in collector.below(accept) if one.name == "plan"]
    assert post_id in {one.values["estafette.post.id"] for one in plans}
    steps = collector.of(row.id)
    assert steps.keys() == {"claim", "last look", "send", "complete"}
    assert {step.parent for step in steps.values()} == {accept.id}
    assert {step.trace for step in steps.values()} == {CALLER}
    send = steps["send"]
    assert (send.values["estafette.attempt"], send.values["estafette.outcome"]) == (1, "delivered")
    asked = named(collector.below(send), "HTTP POST")
    assert asked.values["http.response.status_code"] == 200
    assert asked.values["server.address"] == "127.0.0.1"
    assert 0 < asked.microseconds <= send.microseconds
    named(collector.below(send), "decide")
    assert collector.services == {"estafette"}
    page = next(one for one in practice.accounts() if one.adapter == "facebook")
    hidden = [secret, str(page.settings["access_token"])]
    assert not [one for one in hidden if one.encode() in collector.raw]


async def test_doubt_and_the_other_road_hang_below_the_same_request(
    settings: Settings, practice: PracticeServer, collector: Collector
) -> None:
    settings = settings.model_copy(update={"tracing": True})
    async with opened(settings, practice) as engine:
        engine.fault("facebook", FaultName.ANSWER_LOST, times=1)
        async with engine.worker():
            first, _ = await post(engine, "facebook")
            (doubted,) = await engine.settled(first, "delivered")
            engine.fault("facebook", FaultName.REJECTED)
            second, _ = await post(engine, "facebook")
            rerouted = await engine.settled(second, "rerouted", "delivered")
    steps = collector.of(doubted.id)
    assert steps["send"].values["estafette.outcome"] == "unconfirmed"
    assert steps["reconcile"].values["estafette.verdict"] == "found"
    assert steps["reconcile"].parent == steps["send"].parent
    named(collector.below(steps["reconcile"]), "HTTP GET")
    parent, child = rerouted
    road = collector.of(parent.id)["reroute"]
    sent = collector.of(child.id)["send"]
    assert (sent.parent, sent.trace) == (road.id, road.trace)


async def test_without_the_extra_the_start_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(tracing.TracingError, match=r"estafette\[tracing\]"):
        async with tracing.exporting():
            pass
    assert not tracing.on()


def test_off_nothing_of_it_is_imported(tmp_path: Path) -> None:
    code = (
        "import sys, scheduler.web.app, scheduler.worker, scheduler.cli.service\n"
        "sys.exit(any(name.startswith('opentelemetry') for name in sys.modules))"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
