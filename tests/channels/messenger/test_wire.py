"""Every row of the error table, from the documented reply on; and the practice platform's own
refusals, measured by the same replies."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs

import pytest

from channels.base import Account, Recipient, Tools
from channels.facebook.practice.graph import LE_PETIT_CAFE
from channels.http import HttpClient
from channels.messenger.adapter import MessengerAdapter, MessengerCourier, MessengerSettings
from channels.messenger.practice.people import Person
from channels.messenger.sandbox import MessengerSandbox
from channels.outcome import (
    AccessLost,
    AccessReason,
    Delivered,
    RecipientOutcome,
    Rejected,
    Throttled,
    Unconfirmed,
    Unreachable,
)
from channels.posts import Message
from channels.sandbox.faults import Fault, FaultName
from tests.channels.replay import Recorded, Replay, assert_read, recorded

REPLIES = recorded("messenger")
NOW = datetime(2026, 11, 22, 17, 0, 30, tzinfo=UTC)
PAGE = f"/v26.0/{LE_PETIT_CAFE.id}"
AWA = Recipient(id="c1", address="7301946285510001")
HELLO = Message(post_id="p1", text="We open again on Monday.")

LATER = {"permanent": False}
NEVER = {"permanent": True}
PERMISSION = {"reason": AccessReason.PERMISSION}
TOKEN = {"reason": AccessReason.TOKEN}

READINGS: Mapping[str, tuple[type[RecipientOutcome], Mapping[str, Any]]] = {
    "sent": (Delivered, {"slow_until": None}),
    "sent_unnamed": (Unconfirmed, {}),
    "window_closed": (Unreachable, LATER),
    "window_closed_otherwise": (Unreachable, LATER),
    "tag_retired": (Rejected, {"problem.code": "refused"}),
    "person_unavailable": (Unreachable, LATER),
    "person_unavailable_coded": (Unreachable, LATER),
    "person_unavailable_as_permission": (Unreachable, LATER),
    "person_unknown": (Unreachable, NEVER),
    "person_not_ours": (Unreachable, NEVER),
    "person_cannot_receive": (Unreachable, LATER),
    "person_stopped": (Unreachable, LATER),
    "news_limited": (Unreachable, LATER),
    "thread_elsewhere": (Unreachable, LATER),
    "thread_elsewhere_otherwise": (Unreachable, LATER),
    "page_restricted": (Throttled, {"until": NOW + timedelta(minutes=30)}),
    "unexpected": (Unconfirmed, {"presumed_sent": False}),
    "trace_like_code": (Unconfirmed, {"presumed_sent": False}),
    "gateway_html": (Unconfirmed, {"presumed_sent": False}),
    "presumed_sent": (Unconfirmed, {"presumed_sent": True}),
    "permission_unknown": (AccessLost, PERMISSION),
    "permission_missing": (AccessLost, PERMISSION),
    "app_limit": (Throttled, {"human": False}),
    "rate_limit": (Throttled, {"human": False}),
    "rate_limit_otherwise": (Throttled, {"human": False}),
    "abuse_warning": (Throttled, {"human": True, "until": NOW + timedelta(hours=1)}),
    "messenger_limit": (Throttled, {"until": NOW + timedelta(minutes=12)}),
    "token_dead": (AccessLost, TOKEN),
    "token_expired": (AccessLost, TOKEN),
    "policy_block": (Throttled, {"human": True, "until": NOW + timedelta(hours=24)}),
    "page_blocked": (Throttled, {"human": True, "until": NOW + timedelta(hours=24)}),
}


@pytest.fixture
async def replay() -> AsyncIterator[Replay]:
    async with Replay() as server:
        yield server


@pytest.fixture
async def courier(replay: Replay, http: HttpClient) -> MessengerCourier:
    page = Recorded("page", "", "", 200, {}, {"id": LE_PETIT_CAFE.id})
    replay.on("GET", PAGE, page)
    adapter = MessengerAdapter(Tools(http=http, now=lambda: NOW))
    settings = MessengerSettings(
        page_id=LE_PETIT_CAFE.id, access_token="page-token", base_url=replay.url
    )
    opened = await adapter.open(HELLO, Account(id="a", name="a", settings=settings))
    assert isinstance(opened, MessengerCourier)
    return opened


@pytest.mark.parametrize("name", READINGS)
async def test_a_message_that_is_answered_so(
    replay: Replay, courier: MessengerCourier, name: str
) -> None:
    replay.on("POST", f"{PAGE}/messages", REPLIES[name])
    outcome = await courier.send(AWA, key="d1:c1")
    assert_read(outcome, REPLIES[name], *READINGS[name])


def test_every_documented_reply_is_read_by_a_test() -> None:
    assert set(REPLIES) == set(READINGS)
    assert all(reply.source and reply.date for reply in REPLIES.values())


async def test_one_call_a_person_with_our_key_in_its_metadata(
    replay: Replay, courier: MessengerCourier
) -> None:
    replay.on("POST", f"{PAGE}/messages", REPLIES["sent"])
    await courier.send(AWA, key="d1:c1")
    asked = replay.asked[-1]
    form = {name: values[0] for name, values in parse_qs(asked.body.decode()).items()}
    assert form["messaging_type"] == "UPDATE"
    assert json.loads(form["recipient"]) == {"id": AWA.address}
    assert json.loads(form["message"]) == {"text": HELLO.text, "metadata": "d1:c1"}


# --- the practice platform, by the same replies --------------------------------------------------


async def write_to(
    http: HttpClient, account: Account[Any], psid: str, **changes: Any
) -> tuple[int, Any]:
    settings = account.settings
    body = {
        "recipient": {"id": psid},
        "messaging_type": "UPDATE",
        "message": {"text": "Hello"},
        **changes,
    }
    bearer = {"Authorization": f"Bearer {settings.access_token.get_secret_value()}"}
    url = f"{settings.base_url}/v26.0/{settings.page_id}/messages"
    reply = await http.request("POST", url, headers=bearer, json_body=body)
    return reply.status, reply.json()


def essence(error: Mapping[str, Any]) -> dict[str, Any]:
    return {name: error.get(name) for name in ("type", "code", "error_subcode")}


@pytest.mark.parametrize(
    ("psid", "name"),
    [
        ("7301946285510001", "sent"),
        ("7301946285510005", "window_closed"),
        ("12345", "person_unknown"),
        ("42", "person_unavailable_coded"),
    ],
)
async def test_the_practice_platform_answers_as_documented(
    platform: MessengerSandbox, account: Account[Any], http: HttpClient, psid: str, name: str
) -> None:
    blocking = Person("42", "Fatou", wrote_at=datetime.now(UTC).timestamp(), blocks_us=True)
    platform.people.add(account.settings.page_id, blocking)
    status, body = await write_to(http, account, psid)
    documented = REPLIES[name]
    assert status == documented.status
    assert body.keys() == documented.body.keys()
    assert essence(body.get("error", {})) == essence(documented.body.get("error", {}))


@pytest.mark.parametrize(
    ("fault", "name"),
    [
        (FaultName.THROTTLED, "messenger_limit"),
        (FaultName.TOKEN_DEAD, "token_expired"),
        (FaultName.SERVER_ERROR, "unexpected"),
        (FaultName.PERMISSION_LOST, "permission_missing"),
    ],
)
async def test_a_fault_looks_like_the_documented_refusal(
    platform: MessengerSandbox,
    account: Account[Any],
    http: HttpClient,
    fault: FaultName,
    name: str,
) -> None:
    platform.faults.add(Fault(fault, seconds=720))
    status, body = await write_to(http, account, AWA.address)
    documented = REPLIES[name]
    assert (status, essence(body["error"])) == (
        documented.status,
        essence(documented.body["error"]),
    )


LONG = "x" * 21
TEMPLATE = {"template_type": "button", "text": "t"}
LINK = {"type": "web_url", "title": "Book", "url": "https://cafe.example"}


@pytest.mark.parametrize(
    "changes",
    [
        {"messaging_type": "GREETING"},
        {"messaging_type": "MESSAGE_TAG", "tag": "ACCOUNT_UPDATE"},
        {"tag": "HUMAN_AGENT"},
        {"colour": "red"},
        {"message": {"text": "x" * 2001}},
        {"message": {"text": ""}},
        {"message": {}},
        {"message": {"text": "Hello", "colour": "red"}},
        {"message": {"text": "Hello", "metadata": "x" * 1001}},
        {"message": {"text": "Hello", "quick_replies": []}},
        {
            "message": {
                "text": "Hello",
                "quick_replies": [{"content_type": "text", "title": LONG, "payload": "p"}],
            }
        },
        {
            "message": {
                "text": "Hello",
                "quick_replies": [{"content_type": "text", "title": "a", "payload": "p"}] * 14,
            }
        },
        {"message": {"attachment": {"type": "image", "payload": {}}}},
        {"message": {"attachment": {"type": "template", "payload": {**TEMPLATE, "buttons": []}}}},
        {
            "message": {
                "attachment": {"type": "template", "payload": {**TEMPLATE, "buttons": [LINK] * 4}}
            }
        },
        {
            "message": {
                "attachment": {
                    "type": "template",
                    "payload": {**TEMPLATE, "text": "x" * 641, "buttons": [LINK]},
                }
            }
        },
        {"recipient": {"phone": "1"}},
    ],
)
async def test_a_wrong_message_is_refused_and_nobody_gets_it(
    platform: MessengerSandbox, account: Account[Any], http: HttpClient, changes: dict[str, Any]
) -> None:
    status, body = await write_to(http, account, AWA.address, **changes)
    assert (status, body["error"]["code"]) == (400, 100)
    assert platform.ledger.entries("messenger", kind="message") == []
