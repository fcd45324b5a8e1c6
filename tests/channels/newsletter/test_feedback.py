"""Providers' webhooks, from their documented bodies: believed when signed, and nothing else."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from pydantic import TypeAdapter, ValidationError

from channels.base import Account, Tools
from channels.http import HttpClient
from channels.newsletter.adapter import Newsletter
from channels.newsletter.feedback import desk, ses
from channels.newsletter.feedback.ses import SNS, Certificates
from channels.newsletter.feedback.settings import Feedback
from channels.receipts import ReceiptKind
from scheduler.audience.returns import kind_of
from tests.channels.newsletter.support import account
from tests.support import feedback
from tests.support.feedback import PEM, SETTINGS, TOKEN, Sns

_WIRE = Path(__file__).parents[2] / "wire" / "newsletter" / "feedback.json"
EVENTS = json.loads(_WIRE.read_text())["events"]
BEARER = {"Authorization": f"Bearer {TOKEN}"}
BOUNCE = next(
    e["body"] for e in EVENTS if e["provider"] == "amazon-ses" and e["becomes"] == ["complaint"]
)


@dataclass
class SnsHost:
    """SNS's own web server, on loopback."""

    sns: Sns
    origin: str = ""
    visits: list[str] = field(default_factory=list)
    status: int = 200


@asynccontextmanager
async def sns_host() -> AsyncIterator[SnsHost]:
    host = SnsHost(Sns())

    async def serve(request: web.Request) -> web.Response:
        host.visits.append(request.path_qs)
        body = host.sns.pem if request.path.endswith(".pem") else b"<ok/>"
        return web.Response(body=body, status=host.status)

    app = web.Application()
    app.router.add_get("/{path:.*}", serve)
    async with TestServer(app) as server:
        host.origin = str(server.make_url("")).rstrip("/")
        yield host


@pytest.fixture
async def host() -> AsyncIterator[SnsHost]:
    async with sns_host() as host:
        yield host


@pytest.fixture
async def newsletter(host: SnsHost) -> AsyncIterator[Newsletter]:
    """An adapter for which SNS lives at `host`."""
    async with HttpClient(private_ok=True) as http:
        adapter = Newsletter(Tools(http=http, now=lambda: datetime.now(UTC)))
        adapter.certificates = Certificates(http, origin=re.escape(host.origin))
        yield adapter


def told_by(provider: str) -> Account[Any]:
    return account(feedback=SETTINGS[provider])


def sent(event: dict[str, Any], host: SnsHost) -> bytes:
    """The body as the provider would send it."""
    match event["provider"]:
        case "mailgun":
            return feedback.mailgun(event["body"])
        case "amazon-ses":
            return host.sns.notification(event["body"], host.origin)
        case _:
            return json.dumps(event["body"]).encode()


@pytest.mark.parametrize("event", EVENTS, ids=lambda e: f"{e['provider']}-{e['becomes']}")
async def test_each_event_becomes_what_a_bounce_would_have_said(
    newsletter: Newsletter, host: SnsHost, event: dict[str, Any]
) -> None:
    there, raw = told_by(event["provider"]), sent(event, host)
    await newsletter.prepare(raw, there)
    assert newsletter.verified(BEARER, raw, there)
    found = newsletter.receipts(raw, there)

    names = {
        ReceiptKind.COMPLAINED: "complaint", ReceiptKind.REFUSED: "left",
        ReceiptKind.ARRIVED: "arrived",
    }  # fmt: skip
    became = [names.get(one.kind) or str(kind_of(one.status, one.text)) for one in found]
    assert became == event["becomes"]
    assert all(one.address.endswith("@readers.example.net") and one.id for one in found)
    assert [one.id for one in newsletter.receipts(raw, there)] == [one.id for one in found]


async def test_a_body_that_somebody_else_signed_is_refused(
    newsletter: Newsletter, host: SnsHost
) -> None:
    body = EVENTS[0]["body"]
    mailgun = told_by("mailgun")
    old = datetime.now(UTC) - timedelta(days=2)
    assert newsletter.verified({}, feedback.mailgun(body), mailgun)
    for forged in (
        feedback.mailgun(body, key="another"), feedback.mailgun(body, at=old),
        json.dumps(body).encode(), b"", b"[]", b"null", b'{"signature": "x"}', b"\xff",
    ):  # fmt: skip
        assert not newsletter.verified({}, forged, mailgun)
    for headers in ({}, {"Authorization": "Bearer "}, {"Authorization": f"Bearer {TOKEN}x"}):
        assert not newsletter.verified(headers, b"{}", told_by("brevo"))
    assert not newsletter.verified(BEARER, feedback.mailgun(body), account())


async def test_sns_is_believed_for_our_topic_with_its_own_certificate_only(
    newsletter: Newsletter, host: SnsHost
) -> None:
    there = told_by("amazon-ses")

    async def believed(raw: bytes) -> bool:
        await newsletter.prepare(raw, there)
        return newsletter.verified({}, raw, there)

    good = host.sns.notification(BOUNCE, host.origin)
    assert await believed(good)
    assert await believed(host.sns.notification(BOUNCE, host.origin, SignatureVersion="1"))
    assert host.visits == [PEM], "one certificate is fetched once"
    assert not await believed(good.replace(b"abuse", b"fraud"))
    assert not await believed(Sns().notification(BOUNCE, host.origin)), "signed by somebody else"
    other = "arn:aws:sns:eu-west-3:123456789012:other"
    assert not await believed(host.sns.notification(BOUNCE, host.origin, TopicArn=other))
    assert not await believed(host.sns.notification(BOUNCE, "http://127.0.0.1:1"))
    assert host.visits == [PEM]

    host.sns = Sns(ended=True)
    newsletter.certificates = Certificates(newsletter.certificates._http, origin=host.origin)
    assert not await believed(host.sns.notification(BOUNCE, host.origin))


async def test_a_subscription_is_confirmed_at_sns_and_nowhere_else(
    newsletter: Newsletter, host: SnsHost
) -> None:
    there = told_by("amazon-ses")
    raw = host.sns.handshake(host.origin)
    await newsletter.prepare(raw, there)
    assert newsletter.verified({}, raw, there)
    assert newsletter.receipts(raw, there) == []
    assert await newsletter.acknowledge(raw, there)
    assert host.visits[-1].startswith("/?Action=ConfirmSubscription&")
    host.status = 500
    assert not await newsletter.acknowledge(raw, there)

    host.visits.clear()
    action = "/?Action=ConfirmSubscription&a=b"
    elsewhere = (
        f"{host.origin}/admin",
        f"{host.origin}@evil.example{action}",
        f"{host.origin}/?Action=DeleteTopic&a=b",
        "http://169.254.169.254/latest",
    )
    for url in elsewhere:
        assert not await newsletter.acknowledge(host.sns.handshake(host.origin, url), there)
    assert host.visits == []
    assert await newsletter.acknowledge(host.sns.notification(BOUNCE, host.origin), there)


@pytest.mark.parametrize(
    ("url", "is_sns"),
    [
        (f"https://sns.eu-west-3.amazonaws.com{PEM}", True),
        (f"https://sns.cn-north-1.amazonaws.com.cn{PEM}", True),
        (f"http://sns.eu-west-3.amazonaws.com{PEM}", False),
        (f"https://sns.eu-west-3.amazonaws.com.evil.example{PEM}", False),
        (f"https://evil.example/sns.eu-west-3.amazonaws.com{PEM}", False),
        (f"https://sns.eu-west-3.amazonaws.com@evil.example{PEM}", False),
        (f"https://sns.eu-west-3.amazonaws.com:444{PEM}", False),
        ("https://sns.eu-west-3.amazonaws.com/other.pem", False),
    ],
)
def test_only_snss_own_addresses_are_its_own(url: str, *, is_sns: bool) -> None:
    assert (re.fullmatch(SNS + ses._CERTIFICATE, url) is not None) is is_sns


@pytest.mark.parametrize(
    "wrong",
    [
        {"provider": "brevo", "token": "short"},
        {"provider": "amazon-ses", "topic_arn": "newsletter"},
        {"provider": "pigeon"},
        {"provider": "mailgun", "signing_key": "k", "more": 1},
    ],
)
def test_settings_that_could_not_work_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        account(feedback=wrong)


@pytest.mark.parametrize(
    ("settings", "body"),
    [
        ("mailgun", {"event-data": {
            "event": "complained", "id": "1", "recipient": "ann@x.org",
            "message": {"headers": {"message-id": "abc@shop.example.org"}},
        }}),
        ("brevo", {"event": "spam", "email": "ann@x.org", "message-id": "<abc@shop.example.org>"}),
        ("amazon-ses", {
            "Type": "Notification", "MessageId": "1", "Message": json.dumps({
                "notificationType": "Complaint",
                "mail": {"commonHeaders": {"messageId": "<abc@shop.example.org>"}},
                "complaint": {"complainedRecipients": [{"emailAddress": "ann@x.org"}]},
            }),
        }),
    ],
)  # fmt: skip
def test_the_mail_that_it_is_about_is_named(settings: str, body: Any) -> None:
    chosen = TypeAdapter[Any](Feedback).validate_python(SETTINGS[settings])
    (told,) = desk.receipts(chosen, json.dumps(body).encode(), "another.example.org")
    assert (told.remote_id or "").strip("<>") == "abc@shop.example.org"


@pytest.mark.parametrize(("domain", "about"), [("Shop.example.org", True), ("x.org", False)])
def test_what_arrived_is_named_by_our_own_message_ids_alone(domain: str, *, about: bool) -> None:
    chosen = TypeAdapter[Any](Feedback).validate_python(SETTINGS["mailgun"])
    body = next(e["body"] for e in EVENTS if e["becomes"] == ["arrived"])
    (told,) = desk.receipts(chosen, json.dumps(body).encode(), domain)
    assert (told.remote_id is not None) == about
