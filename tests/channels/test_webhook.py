"""The webhook: signed by the rules, read by the rules, and never sent into a private network."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

import pytest
from pydantic import SecretStr, ValidationError
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from channels.base import Account, Tools
from channels.http import HttpClient
from channels.outcome import (
    AccessLost,
    AccessReason,
    Delivered,
    Gone,
    HealthStatus,
    Outcome,
    Rejected,
    Throttled,
    Unconfirmed,
)
from channels.posts import Media, Message, Part, Poll, Post
from channels.sandbox.faults import FaultName
from channels.webhook import content
from channels.webhook.adapter import WebhookChannel, WebhookSettings
from channels.webhook.sandbox import SECRET
from tests.channels.conformance import Bench, Outcomes
from tests.channels.replay import Replay, recorded


class WebhookBench(Bench):
    name: ClassVar[str] = "webhook"
    platform: ClassVar[str | None] = "webhook"
    exempt: ClassVar[Mapping[str, str]] = {
        "spoiled_answer_is_a_doubt": "any 2xx is a receipt, whatever its body",
        "probe_survives_spoiled_answers": "any 2xx is a receipt, whatever its body",
    }
    outcomes: ClassVar[Mapping[FaultName, Outcomes]] = {FaultName.MALFORMED: (Delivered,)}


BENCH = WebhookBench()
REPLIES = recorded("webhook")
HELLO = Message(post_id="p1", text="We open again on Monday.", title="Open")
READINGS: Mapping[str, tuple[type[Outcome], Mapping[str, Any]]] = {
    "received": (Delivered, {"remote_id": "key-1", "url": None}),
    "received_with_id": (Delivered, {"remote_id": "77", "url": "https://shop.example/77"}),
    "received_with_odd_url": (Delivered, {"url": None}),
    "moved": (AccessLost, {"reason": AccessReason.MISCONFIGURED}),
    "unsigned": (AccessLost, {"reason": AccessReason.TOKEN}),
    "forbidden": (AccessLost, {"reason": AccessReason.TOKEN}),
    "not_there": (Gone, {}),
    "unsubscribed": (Gone, {}),
    "unprocessable": (Rejected, {}),
    "too_many": (Throttled, {}),
    "overloaded": (Unconfirmed, {}),
    "broken": (Unconfirmed, {}),
}


@pytest.fixture
async def http() -> AsyncIterator[HttpClient]:
    async with HttpClient(private_ok=True) as client:
        yield client


@pytest.fixture
def adapter(http: HttpClient) -> WebhookChannel:
    return WebhookChannel(Tools(http=http, now=lambda: datetime.now(UTC)))


def to(url: str) -> Account[WebhookSettings]:
    settings = WebhookSettings(url=url, secret=SecretStr(SECRET))
    return Account(id="account-1", name="Receiver", settings=settings)


def test_every_documented_reply_has_a_reading() -> None:
    assert READINGS.keys() == REPLIES.keys()


@pytest.mark.parametrize("name", READINGS)
async def test_reply_is_read_by_the_rules(name: str, adapter: WebhookChannel) -> None:
    async with Replay() as replay:
        replay.on("POST", "/in", REPLIES[name])
        outcome = await adapter.send(HELLO, to(f"{replay.url}/in"), key="key-1")
    kind, said = READINGS[name]
    assert isinstance(outcome, kind), outcome
    for field, value in said.items():
        assert getattr(outcome, field) == value
    assert len(replay.asked) == 1


async def test_event_verifies_with_the_secret_and_with_no_other(adapter: WebhookChannel) -> None:
    async with Replay() as replay:
        replay.on("POST", "/in", REPLIES["received"])
        await adapter.send(replace(HELLO, text="Où ça ? 🎉"), to(f"{replay.url}/in"), key="key-1")
    (asked,) = replay.asked
    headers = dict(asked.headers)
    event = Webhook(SECRET).verify(asked.body, headers)
    assert event["type"] == "post.published"
    assert event["data"]["text"] == "Où ça ? 🎉"
    assert asked.headers["webhook-id"] == "key-1"
    with pytest.raises(WebhookVerificationError):
        Webhook("whsec_" + "b3RoZXI=" * 4).verify(asked.body, headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(asked.body + b" ", headers)


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:1/in", "http://localhost:1/in", "http://[::1]:1/in", "http://10.0.0.1/in"],
)
async def test_private_address_is_refused_unless_the_service_allows_it(url: str) -> None:
    async with HttpClient(private_ok=False) as http:
        adapter = WebhookChannel(Tools(http=http, now=lambda: datetime.now(UTC)))
        outcome = await adapter.send(HELLO, to(url), key="k")
        health = await adapter.probe(to(url))
    assert isinstance(outcome, AccessLost)
    assert outcome.reason is AccessReason.MISCONFIGURED
    assert "private" in outcome.detail
    assert health.status is HealthStatus.ACCESS_LOST


async def test_address_with_a_key_in_its_path_is_not_kept(adapter: WebhookChannel) -> None:
    async with Replay() as replay:
        replay.on("POST", "/hooks/", REPLIES["broken"])
        outcome = await adapter.send(HELLO, to(f"{replay.url}/hooks/s3cret-key"), key="k")
    assert "s3cret-key" not in repr(outcome)


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_c2hvcnQ=", "whsec_not base 64 at all!"])
def test_unusable_secret_is_refused_by_name(secret: str) -> None:
    with pytest.raises(ValidationError, match="secret"):
        WebhookSettings(url="https://a.example/in", secret=SecretStr(secret))


def test_event_carries_everything() -> None:
    post = Post(
        id="p",
        title="Menu",
        body="**Bread**",
        link="https://rosa.example/menu",
        tags=("bread",),
        poll=Poll(question="When?", options=("a", "b")),
        media=(Media(id="m", content_type="image/png", alt="Bread", url="https://rosa.example/m"),),
    )
    message = content.rendered(post, Part.POST)
    now = datetime(2026, 11, 22, tzinfo=UTC) + timedelta(hours=1)
    data = content.event(message, "account-1", now, ["https://rosa.example/m"])["data"]
    assert (data["text"], data["html"]) == ("Bread", "<p><strong>Bread</strong></p>")
    assert data["media"][0]["url"] == "https://rosa.example/m"
    assert data["poll"]["question"] == "When?"
    assert data["slug"] == "menu"
    assert list(content.problems(message, lent=False)) == []


@pytest.mark.parametrize("public", [True, False])
async def test_a_picture_on_our_disk_is_lent_or_refused(
    http: HttpClient, tmp_path: Path, *, public: bool
) -> None:
    path = tmp_path / "original"
    path.write_bytes(b"bytes")

    def lend(media: Media, _now: datetime) -> str | None:
        there = media.path is not None and media.path.is_file()
        return f"https://posts.example.org/m/{media.id}" if there else None

    now = lambda: datetime.now(UTC)  # noqa: E731 -- a clock
    tools = Tools(http=http, now=now, lend=lend if public else None)
    adapter = WebhookChannel(tools)
    picture = Media(id="x", content_type="image/png", alt="Bread", path=path)
    async with Replay() as replay:
        replay.on("POST", "/", REPLIES["received"])
        there = to(replay.url)
        message = adapter.render(Post(id="p", body="Bread", media=(picture,)), there)
        codes = [problem.code for problem in adapter.check(message, there)]
        outcome = await adapter.send(message, there, key="k")
        path.unlink()
        lost = await adapter.send(message, there, key="k")
        sent = [json.loads(one.body)["data"]["media"] for one in replay.asked]
    assert isinstance(lost, Rejected)  # never a post without its picture
    if public:
        assert (codes, type(outcome)) == ([], Delivered)
        url = "https://posts.example.org/m/x"
        assert sent == [[{"url": url, "alt": "Bread", "content_type": "image/png"}]]
    else:
        assert (codes, type(outcome), sent) == (["media-unreachable"], Rejected, [])
