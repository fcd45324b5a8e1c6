"""Providers' webhooks over HTTP: who cannot or will not be written to is not written to."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest
from sqlalchemy import select

from channels.http import HttpClient
from channels.newsletter.adapter import Newsletter
from channels.newsletter.feedback.ses import Certificates
from scheduler.receipts import KEPT, WORDS_KEPT
from scheduler.services import Services
from scheduler.store import contacts
from scheduler.store import receipts as store
from scheduler.store.audience_tables import suppressions
from scheduler.store.platform_tables import receipts
from scheduler.store.return_tables import returns
from tests.channels.newsletter.test_feedback import EVENTS, sns_host
from tests.support import feedback
from tests.support.feedback import SETTINGS, TOKEN
from tests.web.conftest import Client
from tests.web.support import ask, connect

ANN = "ann@readers.example.net"


async def told_by(services: Services, provider: str | None) -> str:
    """The id of a newsletter whose provider tells us."""
    return await connect(
        services, "Letter", "newsletter", from_address="letter@shop.example.org",
        publisher="The shop", relays=[{"host": "127.0.0.1", "port": 1, "tls": "none"}],
        feedback=None if provider is None else SETTINGS[provider],
    )  # fmt: skip


async def meet(services: Services, email: str = ANN) -> str:
    async with services.database.write() as connection:
        reader, _ = await contacts.meet(
            connection, services.database, {"email": email}, now=services.clock.micros()
        )
    return reader


async def column(services: Services, wanted: Any) -> list[Any]:
    async with services.database.read() as connection:
        return list((await connection.execute(select(wanted))).scalars())


def event(provider: str, becomes: str) -> Any:
    return next(
        one["body"] for one in EVENTS if one["provider"] == provider and one["becomes"] == [becomes]
    )


@pytest.mark.parametrize("becomes", ["no-such-address", "complaint", "left"])
async def test_who_is_gone_or_angry_or_left_is_not_written_to_again(
    client: Client, services: Services, becomes: str
) -> None:
    account_id, _ = await told_by(services, "mailgun"), await meet(services)
    raw = feedback.mailgun(event("mailgun", becomes))
    for _ in range(3):
        answer = await client.post(f"/hooks/{account_id}", data=raw)
        assert answer.status == 200
    assert await column(services, suppressions.c.reason) == [
        {"left": "refused"}.get(becomes, becomes)
    ]
    assert len(await column(services, receipts.c.id)) == 3, "the news; its word, alone and with it"
    assert len(await column(services, returns.c.id)) == (becomes != "left")


async def test_a_signature_is_good_for_one_body_alone(client: Client, services: Services) -> None:
    account_id, _ = await told_by(services, "mailgun"), await meet(services)
    harmless = {"event-data": {"event": "opened", "id": "o1", "recipient": ANN}}
    seen = feedback.mailgun(harmless, token="seen-somewhere")
    forged = feedback.mailgun(event("mailgun", "no-such-address"), token="seen-somewhere")
    assert (await client.post(f"/hooks/{account_id}", data=seen)).status == 200
    answer = await client.post(f"/hooks/{account_id}", data=forged)
    assert answer.status == 403
    assert "came before" in await answer.text()
    assert await column(services, suppressions.c.reason) == []
    assert (await client.post(f"/hooks/{account_id}", data=seen)).status == 200, "tried again"
    async with services.database.write() as connection:  # two days later nothing of it is kept
        now = services.clock.micros() + WORDS_KEPT
        await store.take(
            services.database, connection, account_id, [], now=now, forget_before=now - KEPT + 1
        )
    assert await column(services, receipts.c.id) == []


async def test_what_is_not_the_readers_fault_is_noted_and_changes_nothing(
    client: Client, services: Services
) -> None:
    account_id, _ = await told_by(services, "mailgun"), await meet(services)
    for becomes in ("refused", "blocked"):
        raw = feedback.mailgun({"event-data": {
            **event("mailgun", becomes)["event-data"], "id": becomes,
        }})  # fmt: skip
        assert (await client.post(f"/hooks/{account_id}", data=raw)).status == 200
    assert await column(services, suppressions.c.reason) == []
    assert sorted(await column(services, returns.c.kind)) == ["blocked", "refused"]


async def test_a_stranger_is_nobody_to_us(client: Client, services: Services) -> None:
    account_id = await told_by(services, "mailgun")
    raw = feedback.mailgun(event("mailgun", "no-such-address"))
    assert (await client.post(f"/hooks/{account_id}", data=raw)).status == 200
    assert await column(services, returns.c.id) == []
    assert await column(services, suppressions.c.reason) == []


@pytest.mark.parametrize("provider", [*SETTINGS, None])
async def test_nothing_counts_that_the_provider_did_not_sign(
    client: Client, services: Services, provider: str | None
) -> None:
    account_id, _ = await told_by(services, provider), await meet(services)
    body = event(provider or "mailgun", "no-such-address")
    for raw in (feedback.mailgun(body, key="another"), b"", b"[1, 2]", b"\xff"):
        answer = await client.post(f"/hooks/{account_id}", data=raw)
        said = await answer.json()
        assert answer.status == 403, said
        assert said["errors"][0]["remedy"]
    assert await column(services, suppressions.c.reason) == []


async def test_the_providers_secret_is_shown_to_nobody(client: Client, services: Services) -> None:
    account_id, _ = await told_by(services, "brevo"), await meet(services)
    shown = await ask(client, "GET", f"/accounts/{account_id}")
    assert TOKEN not in str(shown)
    answer = await client.post(
        f"/hooks/{account_id}",
        json=event("brevo", "complaint"),
        headers={"Authorization": f"Bearer {TOKEN}"},
    )
    assert answer.status == 200, "and still known after it was stored"
    assert await column(services, suppressions.c.reason) == ["complaint"]


async def test_a_subscription_is_taken_once_sns_took_our_answer(
    client: Client, services: Services
) -> None:
    account_id, _ = await told_by(services, "amazon-ses"), await meet(services)
    channel = services.registry["newsletter"]
    assert isinstance(channel, Newsletter)
    async with sns_host() as host, HttpClient(private_ok=True) as http:
        channel.certificates = Certificates(http, origin=re.escape(host.origin))
        raw = host.sns.handshake(host.origin)
        assert (await client.post(f"/hooks/{account_id}", data=raw)).status == 200
        assert [one.split("&")[0] for one in host.visits[1:]] == ["/?Action=ConfirmSubscription"]
        host.status = 500
        again = await client.post(f"/hooks/{account_id}", data=raw)
        assert again.status == 503, "SNS shall ask again"

        bounce = host.sns.notification(event("amazon-ses", "no-such-address"), host.origin)
        assert (await client.post(f"/hooks/{account_id}", data=bounce)).status == 200
    assert await column(services, suppressions.c.reason) == ["no-such-address"]


@pytest.mark.parametrize("provider", sorted(SETTINGS))
@pytest.mark.parametrize(
    "raw",
    [
        b'{"signature": {"timestamp": "1", "token": "\\ud800", "signature": "x"}}',
        b'{"signature": {"timestamp": "1", "token": "t", "signature": "\\ud800"}}',
        b'{"TopicArn": "\\ud800", "SigningCertURL": "\\ud800"}',
        b"[" * 100_000,
    ],
    ids=["token", "signature", "topic", "depth"],
)
async def test_what_no_provider_sends_is_a_forgery_and_no_failure_of_ours(
    client: Client, services: Services, provider: str, raw: bytes
) -> None:
    account_id = await told_by(services, provider)
    assert (await client.post(f"/hooks/{account_id}", data=raw)).status == 403


@pytest.mark.parametrize(("path", "status"), [("/hooks/{}", b"403"), ("/api/v1/posts", b"401")])
async def test_a_token_that_is_no_text_is_none_of_ours(
    client: Client, services: Services, path: str, status: bytes
) -> None:
    target = path.format(await told_by(services, "brevo")).encode()
    method = b"POST" if b"hooks" in target else b"GET"
    reader, writer = await asyncio.open_connection(client.host, client.port)
    writer.write(
        method + b" " + target + b" HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n"
        b"Authorization: Bearer \xff\xe9\r\n\r\n"
    )
    assert (await reader.readline()).split()[1] == status
    writer.close()
    await writer.wait_closed()
