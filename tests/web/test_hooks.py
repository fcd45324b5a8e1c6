"""Webhooks from platforms, sent by the practice Messenger and signed as Meta signs them."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiohttp import ClientSession
from aiohttp.test_utils import TestClient, TestServer
from sqlalchemy import insert, select

from channels.messenger.sandbox import VERIFY_TOKEN, MessengerSandbox
from channels.receipts import Receipt, ReceiptKind
from channels.sandbox.server import PracticeServer
from scheduler.care import taker_of
from scheduler.services import Services
from scheduler.store.audience_tables import addresses, contacts, recipients, suppressions
from scheduler.store.platform_tables import receipts
from scheduler.store.tables import accounts, deliveries, events
from scheduler.web.app import create_app
from tests.web.conftest import Client
from tests.web.support import connect, post, put

BRUNO = "7301946285510002"
FIELDS = "messages,message_echoes,message_deliveries"


@dataclass
class Inbox:
    """A page on the practice Messenger, connected, its webhooks coming to us."""

    id: str
    settings: dict[str, Any]
    platform: MessengerSandbox
    url: str
    client: Client
    services: Services

    async def subscribe(self, verify_token: str = VERIFY_TOKEN) -> int:
        """What the platform answers to whoever sets the webhook up."""
        form = {
            "access_token": f"{self.settings['app_id']}|{self.settings['app_secret']}",
            "object": "page",
            "fields": FIELDS,
            "callback_url": str(self.client.make_url(f"/hooks/{self.id}")),
            "verify_token": verify_token,
        }
        path = f"{self.url}/v26.0/{self.settings['app_id']}/subscriptions"
        async with ClientSession() as session, session.post(path, data=form) as answer:
            return answer.status

    async def write(self, psid: str, text: str = "Are you open?") -> None:
        """A person writes to the page, and the platform has told us."""
        path = f"{self.url}/people/{psid}/messages"
        async with ClientSession() as session, session.post(path, json={"text": text}) as answer:
            assert answer.status == 201
        told = await asyncio.gather(*self.platform.hooks.pending)
        assert set(told) <= {200}

    async def deliver(self, *happened: dict[str, Any], secret: str = "", page: str = "") -> int:
        """Post a body as Meta would; the status."""
        entry = {"id": page or self.settings["page_id"], "time": 1, "messaging": list(happened)}
        body = json.dumps({"object": "page", "entry": [entry]}).encode()
        key = (secret or self.settings["app_secret"]).encode()
        signature = hmac.new(key, body, hashlib.sha256).hexdigest()
        headers = {"X-Hub-Signature-256": f"sha256={signature}"}
        answer = await self.client.post(f"/hooks/{self.id}", data=body, headers=headers)
        return answer.status

    async def all(self, statement: Any) -> list[Any]:
        async with self.services.database.read() as connection:
            return list((await connection.execute(statement)).mappings())

    async def window(self, psid: str = BRUNO) -> int | None:
        """Until when this person may be written to; None for a stranger."""
        found = await self.all(select(addresses).where(addresses.c.address == psid))
        return None if not found else int(found[0]["writable_until"])


@pytest.fixture
async def inbox(services: Services, practice: PracticeServer) -> AsyncIterator[Inbox]:
    """The webhook's client has no token: platforms bring none."""
    account = next(one for one in practice.accounts() if one.adapter == "messenger")
    platform = practice.platforms["messenger"]
    assert isinstance(platform, MessengerSandbox)
    account_id = await connect(services, account.name, "messenger", **account.settings)
    async with TestClient(TestServer(create_app(services))) as client:
        url = f"{practice.url}/messenger"
        yield Inbox(account_id, dict(account.settings), platform, url, client, services)


def message(mid: str, psid: str = BRUNO) -> dict[str, Any]:
    now = int(time.time() * 1000)
    said = {"mid": mid, "text": "Hello"}
    return {"sender": {"id": psid}, "recipient": {"id": "p"}, "timestamp": now, "message": said}


async def test_a_message_opens_the_window_of_a_person_we_had_not_met(inbox: Inbox) -> None:
    assert await inbox.subscribe() == 200
    before = time.time()
    await inbox.write(BRUNO)
    until = await inbox.window()
    assert until is not None
    assert until / 1e6 == pytest.approx(before + 24 * 3600, abs=60)
    (person,) = await inbox.all(select(contacts))
    assert (person["email"], person["attributes"]) == (None, {})
    assert person["heard_at"] == until - 24 * 3600 * 1_000_000
    await inbox.write(BRUNO, "And on Sunday?")
    again = await inbox.window()
    assert again is not None
    assert again > until
    assert len(await inbox.all(select(contacts))) == 1


async def test_the_handshake_needs_the_agreed_token(inbox: Inbox) -> None:
    assert await inbox.subscribe("guessed") != 200
    asked = {"hub.mode": "subscribe", "hub.verify_token": "guessed", "hub.challenge": "1"}
    assert (await inbox.client.get(f"/hooks/{inbox.id}", params=asked)).status == 403


async def test_a_forged_signature_stores_nothing(inbox: Inbox) -> None:
    assert await inbox.deliver(message("m_1"), secret="guessed") == 403
    assert await inbox.window() is None
    assert await inbox.all(select(receipts)) == []
    unsigned = await inbox.client.post(f"/hooks/{inbox.id}", data=b"{}")
    assert unsigned.status == 403
    assert "signature" in (await unsigned.json())["errors"][0]["field"]


async def test_a_repeated_webhook_counts_once_and_a_late_one_shortens_nothing(
    inbox: Inbox,
) -> None:
    newer, older = message("m_2"), message("m_1")
    older["timestamp"] -= 3_600_000
    assert await inbox.deliver(newer) == 200
    until = await inbox.window()
    assert await inbox.deliver(newer, newer) == 200
    assert len(await inbox.all(select(receipts))) == 1
    assert await inbox.deliver(older) == 200
    assert await inbox.window() == until
    assert len(await inbox.all(select(receipts))) == 2


async def test_two_webhooks_at_once_meet_one_person(inbox: Inbox) -> None:
    answers = await asyncio.gather(*(inbox.deliver(message(f"m_{n}")) for n in range(8)))
    assert answers == [200] * 8
    assert len(await inbox.all(select(contacts))) == 1


async def test_one_address_serves_every_page_of_an_application(inbox: Inbox) -> None:
    other = {**inbox.settings, "page_id": "77777"}
    second = await connect(inbox.services, "Second page", "messenger", **other)
    assert await inbox.deliver(message("m_1"), page="77777") == 200
    (address,) = await inbox.all(select(addresses))
    assert address["account_id"] == second
    assert await inbox.deliver(message("m_2"), page="666") == 200
    assert len(await inbox.all(select(addresses))) == 1


async def test_only_accounts_that_are_called_back_have_an_address(inbox: Inbox, blog: str) -> None:
    for account_id in (blog, "nobody"):
        assert (await inbox.client.post(f"/hooks/{account_id}", data=b"{}")).status == 404
        assert (await inbox.client.get(f"/hooks/{account_id}")).status == 404


async def test_a_malformed_body_that_is_signed_is_taken_and_changes_nothing(
    inbox: Inbox,
) -> None:
    bodies: list[dict[str, Any]] = [{"message": []}, {"timestamp": "x"}, {}]
    for happened in bodies:
        assert await inbox.deliver(happened) == 200
    assert await inbox.all(select(receipts)) == []


async def test_an_answer_to_a_quick_reply_is_on_record(inbox: Inbox) -> None:
    tapped = message("m_1")
    tapped["message"]["quick_reply"] = {"payload": "poll:yes"}
    assert await inbox.deliver(tapped) == 200
    line = select(events.c.data).where(events.c.kind == "contact.answered")
    (answered,) = await inbox.all(line)
    assert answered["data"]["payload"] == "poll:yes"


async def test_an_echo_ends_the_doubt_about_one_recipient(inbox: Inbox, client: Client) -> None:
    made = await post(client, accounts=[inbox.id])
    delivery = made["deliveries"][0]["id"]
    async with inbox.services.database.write() as connection:
        row = {"delivery_id": delivery, "address": BRUNO, "updated_at": 1}
        for contact, state in (("c1", "uncertain"), ("c2", "uncertain"), ("c3", "refused")):
            values = {**row, "contact_id": contact, "state": state}
            await connection.execute(insert(recipients).values(**values))
    for mid, contact in (("m_1", "c1"), ("m_3", "c3")):
        echo = message(mid)
        echo["message"] |= {"is_echo": True, "metadata": f"{delivery}/{contact}"}
        assert await inbox.deliver(echo) == 200
    found = await inbox.all(select(recipients).order_by(recipients.c.contact_id))
    assert [one["state"] for one in found] == ["accepted", "uncertain", "refused"]


@pytest.mark.parametrize(
    ("state", "hold", "after"),
    [
        ("accepted", None, "delivered"),
        ("unconfirmed", None, "delivered"),
        ("held", "unconfirmed", "delivered"),
        ("held", "by-hand", "held"),
        ("scheduled", None, "scheduled"),
        ("cancelled", None, "cancelled"),
    ],
)
async def test_news_of_arrival_settles_what_waits_for_certainty(
    inbox: Inbox, client: Client, state: str, hold: str | None, after: str
) -> None:
    made = await post(client, accounts=[inbox.id])
    one = made["deliveries"][0]["id"]
    await put(inbox.services, one, state=state, hold_reason=hold, remote_id="m_7", token="looking")
    arrived = message("x")
    del arrived["message"]
    arrived["delivery"] = {"mids": ["m_7"], "watermark": arrived["timestamp"]}
    assert await inbox.deliver(arrived) == 200
    (row,) = await inbox.all(select(deliveries).where(deliveries.c.id == one))
    assert row["state"] == after
    # Whoever was looking meanwhile has lost its claim, and writes no state.
    assert row["token"] == (None if after == "delivered" else "looking")
    lines = await inbox.all(select(events).where(events.c.kind == "delivery.delivered"))
    assert len(lines) == (after == "delivered")


async def test_one_address_also_serves_the_pages_posts(
    inbox: Inbox, practice: PracticeServer
) -> None:
    account = next(one for one in practice.accounts() if one.adapter == "facebook")
    page = await connect(inbox.services, account.name, "facebook", **account.settings)
    async with inbox.services.database.write() as connection:
        await connection.execute(accounts.update().values(checked_at=1))
    value = {"item": "status", "verb": "remove", "post_id": "104_7", "created_time": 1_790_000_000}
    change = {"field": "feed", "value": value}
    entry = {"id": account.settings["page_id"], "time": 1, "changes": [change, {"field": "name"}]}
    body = json.dumps({"object": "page", "entry": [entry]}).encode()
    key = inbox.settings["app_secret"].encode()
    signature = f"sha256={hmac.new(key, body, hashlib.sha256).hexdigest()}"
    for address in (inbox.id, page):
        answer = await inbox.client.post(
            f"/hooks/{address}", data=body, headers={"X-Hub-Signature-256": signature}
        )
        assert answer.status == 200
    (line,) = await inbox.all(select(events).where(events.c.kind == "account.removal-told"))
    assert (line["account_id"], line["data"]) == (page, {"remote_id": "104_7"})
    (row,) = await inbox.all(select(accounts).where(accounts.c.id == page))
    assert row["checked_at"] is None
    (other,) = await inbox.all(select(accounts).where(accounts.c.id == inbox.id))
    assert other["checked_at"] == 1


async def told(inbox: Inbox, kind: ReceiptKind, **words: Any) -> None:
    """A receipt that Messenger does not send, as another channel would."""
    (member,) = (await inbox.services.roster.members([inbox.id])).values()
    receipt = Receipt(kind=kind, id=f"{kind}:1", at=datetime.now(UTC), **words)
    assert await taker_of(inbox.services).take(member, [receipt]) == 1
    assert await taker_of(inbox.services).take(member, [receipt]) == 0


async def test_what_was_taken_down_makes_the_next_probe_come_at_once(inbox: Inbox) -> None:
    async with inbox.services.database.write() as connection:
        await connection.execute(accounts.update().values(checked_at=1))
    await told(inbox, ReceiptKind.REMOVED, remote_id="m_7")
    (row,) = await inbox.all(select(accounts).where(accounts.c.id == inbox.id))
    assert (row["checked_at"], row["status"], row["paused_until"]) == (None, "healthy", None)


async def test_who_wants_no_more_messages_is_never_written_to_again(inbox: Inbox) -> None:
    await inbox.deliver(message("m_1"))
    await told(inbox, ReceiptKind.REFUSED, address=BRUNO)
    until = await inbox.window()
    assert until is not None
    assert until / 1e6 <= (datetime.now(UTC) + timedelta(seconds=1)).timestamp()
    (suppressed,) = await inbox.all(select(suppressions))
    assert suppressed["reason"] == "refused"
    assert BRUNO not in str(dict(suppressed))
