"""What Messenger tells us by itself: real signed calls of the practice platform, and shapes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiohttp import web

from channels.base import Account, Recipient
from channels.facebook.practice.graph import APP_ID, APP_SECRET
from channels.http import HttpClient
from channels.messenger.adapter import MessengerAdapter
from channels.messenger.sandbox import VERIFY_TOKEN, MessengerSandbox
from channels.messenger.webhook import receipts_in
from channels.outcome import Delivered
from channels.posts import Message
from channels.receipts import Receipt, ReceiptKind
from channels.sandbox.server import PracticeServer

AWA = "7301946285510001"
PAGE = "104862915374021"


@dataclass
class Receiver:
    """A real web server that receives webhooks as ours does."""

    url: str = ""
    receipts: list[Receipt] = field(default_factory=list)


@pytest.fixture
async def receiver(adapter: MessengerAdapter, account: Account[Any]) -> AsyncIterator[Receiver]:
    receiver = Receiver()

    async def shake_hands(request: web.Request) -> web.Response:
        answer = adapter.challenge(request.query, account)
        return web.Response(status=403) if answer is None else web.Response(text=answer)

    async def receive(request: web.Request) -> web.Response:
        body = await request.read()
        if not adapter.verified(request.headers, body, account):
            return web.Response(status=403)
        receiver.receipts += adapter.receipts(body, account)
        return web.Response()

    app = web.Application()
    app.add_routes([web.get("/hook", shake_hands), web.post("/hook", receive)])
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    yield receiver
    await runner.cleanup()


async def subscribe(
    http: HttpClient, server: PracticeServer, callback: str, verify_token: str = VERIFY_TOKEN
) -> int:
    form = {
        "access_token": f"{APP_ID}|{APP_SECRET}",
        "object": "page",
        "callback_url": callback,
        "verify_token": verify_token,
        "fields": "messages,message_echoes,message_deliveries",
    }
    url = f"{server.url}/messenger/v26.0/{APP_ID}/subscriptions"
    return (await http.request("POST", url, form=form)).status


async def test_a_message_from_a_person_opens_their_window(
    receiver: Receiver, http: HttpClient, server: PracticeServer, platform: MessengerSandbox
) -> None:
    assert await subscribe(http, server, receiver.url) == 200
    url = f"{server.url}/messenger/people/{AWA}/messages"
    said = {"text": "Êtes-vous ouverts ?", "payload": '{"post": "p1"}'}
    reply = await http.request("POST", url, json_body=said)
    await asyncio.gather(*platform.hooks.pending)
    (receipt,) = receiver.receipts
    assert receipt.kind is ReceiptKind.ANSWER
    assert receipt.id == reply.json()["message_id"]
    assert (receipt.address, receipt.text) == (AWA, "Êtes-vous ouverts ?")
    assert receipt.payload == '{"post": "p1"}'
    assert receipt.writable_until == receipt.at + timedelta(hours=24)


async def test_what_we_send_comes_back_with_our_key(
    receiver: Receiver,
    http: HttpClient,
    server: PracticeServer,
    platform: MessengerSandbox,
    adapter: MessengerAdapter,
    account: Account[Any],
) -> None:
    assert await subscribe(http, server, receiver.url) == 200
    courier = await adapter.open(Message(post_id="p", text="Hello"), account)
    assert hasattr(courier, "send")
    sent = await courier.send(Recipient(id="c", address=AWA), key="d7:c")
    assert isinstance(sent, Delivered)
    await asyncio.gather(*platform.hooks.pending)
    kinds = {receipt.kind: receipt for receipt in receiver.receipts}
    assert kinds[ReceiptKind.ECHO].key == "d7:c"
    assert kinds[ReceiptKind.ECHO].address == AWA
    assert kinds[ReceiptKind.DELIVERED].remote_id == sent.remote_id


async def test_a_handshake_with_another_token_is_refused(
    receiver: Receiver, http: HttpClient, server: PracticeServer
) -> None:
    assert await subscribe(http, server, receiver.url, "guessed") == 400


def test_only_the_signature_over_these_very_bytes_counts(
    adapter: MessengerAdapter, account: Account[Any]
) -> None:
    body = json.dumps({"object": "page", "entry": []}).encode()
    unsigned: dict[str, str] = {}
    # HMAC-SHA256 of the body with the practice app's secret, computed with OpenSSL.
    good = {"X-Hub-Signature-256": OPENSSL_SIGNATURE}
    assert adapter.verified(good, body, account)
    assert adapter.verified({"x-hub-signature-256": OPENSSL_SIGNATURE}, body, account)
    assert not adapter.verified(good, body + b" ", account)
    assert not adapter.verified(unsigned, body, account)
    assert not adapter.verified({"X-Hub-Signature-256": "sha256=é"}, body, account)
    keyless = Account(
        id="a",
        name="a",
        settings=account.settings.model_copy(update={"app_secret": None}),
    )
    assert not adapter.verified(good, body, keyless)


OPENSSL_SIGNATURE = "sha256=77c24e19988d8a1d9e3ba9f87c633c0e757f73b76b01127bcb3e987c56812612"


def event(**parts: Any) -> bytes:
    base = {"sender": {"id": "7"}, "recipient": {"id": PAGE}, "timestamp": 1_790_000_000_123}
    entry = {"id": PAGE, "time": 1_790_000_000_200, "messaging": [{**base, **parts}]}
    return json.dumps({"object": "page", "entry": [entry]}).encode()


AT = datetime.fromtimestamp(1_790_000_000.123, UTC)


@pytest.mark.parametrize(
    ("parts", "kind", "id_", "opens"),
    [
        ({"message": {"mid": "m1", "text": "hi"}}, ReceiptKind.MESSAGE, "m1", True),
        (
            {"message": {"mid": "m1", "text": "Yes", "quick_reply": {"payload": "P"}}},
            ReceiptKind.ANSWER,
            "m1",
            True,
        ),
        (
            {"postback": {"mid": "m2", "title": "Book", "payload": "P"}},
            ReceiptKind.ANSWER,
            "m2",
            True,
        ),
        (
            {"postback": {"title": "Book", "payload": "P"}},
            ReceiptKind.ANSWER,
            "postback:7:1790000000123",
            True,
        ),
        (
            {"reaction": {"action": "react", "mid": "m3", "emoji": "❤"}},
            ReceiptKind.ANSWER,
            "reaction:m3:1790000000123",
            True,
        ),
        (
            {"referral": {"ref": "poster", "source": "SHORTLINK"}},
            ReceiptKind.MESSAGE,
            "referral:7:1790000000123",
            True,
        ),
        (
            {"delivery": {"mids": ["m4"], "watermark": 1_790_000_000_123}},
            ReceiptKind.DELIVERED,
            "delivered:m4",
            False,
        ),
        (
            {"delivery": {"watermark": 1_790_000_000_123}},
            ReceiptKind.DELIVERED,
            "delivered:7:1790000000123",
            False,
        ),
        (
            {"read": {"watermark": 1_790_000_000_123}},
            ReceiptKind.READ,
            "read:7:1790000000123",
            False,
        ),
        (
            {"message": {"mid": "m5", "is_echo": True, "metadata": "key"}},
            ReceiptKind.ECHO,
            "echo:m5",
            False,
        ),
    ],
)
def test_each_event_has_its_receipt(
    parts: dict[str, Any], kind: ReceiptKind, id_: str, *, opens: bool
) -> None:
    (receipt,) = receipts_in(event(**parts), PAGE)
    assert (receipt.kind, receipt.id, receipt.at) == (kind, id_, AT)
    assert (receipt.writable_until == AT + timedelta(hours=24)) is opens
    assert receipts_in(event(**parts), PAGE) == [receipt]  # a repeat has the same id


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b'{"object": "page"}',
        b'{"object": "instagram", "entry": []}',
        b'{"object": "page", "entry": [1, {"id": "104862915374021", "messaging": "no"}]}',
        event(message={"text": "without an id"}),
        event(message={"mid": "m"}, timestamp="yesterday"),
        event(reaction={"action": "unreact", "mid": "m"}),
        event(message={"mid": "m"}).replace(PAGE.encode(), b"999999999", 2),
    ],
)
def test_what_is_malformed_or_not_ours_is_left_out(body: bytes) -> None:
    assert list(receipts_in(body, PAGE)) == []
