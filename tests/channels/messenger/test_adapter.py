"""The adapter against the practice Messenger, over real HTTP."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from channels.base import Account, Broadcasts, FindsRecipient, Recipient
from channels.http import HttpClient
from channels.messenger.adapter import MessengerAdapter
from channels.messenger.practice.people import Person
from channels.messenger.sandbox import MessengerSandbox
from channels.outcome import (
    AccessLost,
    AccessReason,
    Delivered,
    Finding,
    Gone,
    HealthStatus,
    Rejected,
    Throttled,
    Unavailable,
    Unconfirmed,
    Unreachable,
)
from channels.posts import Action, Message, Poll, Post
from channels.receipts import Receives
from channels.sandbox.faults import Fault, FaultName
from channels.sandbox.ledger import Entry
from channels.sandbox.server import PracticeServer

AWA = Recipient(id="c1", address="7301946285510001")
BRUNO = Recipient(id="c2", address="7301946285510002")
EMMA = Recipient(id="c5", address="7301946285510005")
HELLO = Message(post_id="p1", text="We open again on Monday.")


async def courier(
    adapter: MessengerAdapter, account: Account[Any], message: Message = HELLO
) -> FindsRecipient:
    opened = await adapter.open(message, account)
    assert isinstance(opened, FindsRecipient)
    return opened


def sent(platform: MessengerSandbox) -> list[Entry]:
    return platform.ledger.entries("messenger", kind="message")


def a_minute_ago() -> datetime:
    return datetime.now(UTC) - timedelta(minutes=1)


def test_declares_what_it_can_do(adapter: MessengerAdapter) -> None:
    assert isinstance(adapter, Broadcasts)
    assert isinstance(adapter, Receives)
    assert adapter.capabilities.addressed


async def test_each_person_gets_one_message_with_our_key(
    adapter: MessengerAdapter, account: Account[Any], platform: MessengerSandbox
) -> None:
    road = await courier(adapter, account)
    for recipient in (AWA, BRUNO):
        outcome = await road.send(recipient, key=f"d1:{recipient.id}")
        assert isinstance(outcome, Delivered)
    assert [(entry.key, entry.text) for entry in sent(platform)] == [
        ("d1:c1", HELLO.text),
        ("d1:c2", HELLO.text),
    ]


async def test_who_did_not_write_within_a_day_is_unreachable_and_the_others_are_not(
    adapter: MessengerAdapter, account: Account[Any], platform: MessengerSandbox
) -> None:
    road = await courier(adapter, account)
    refused = await road.send(EMMA, key="k5")
    assert isinstance(refused, Unreachable)
    assert not refused.permanent
    assert refused.evidence.code == "10/2018278"
    assert isinstance(await road.send(AWA, key="k1"), Delivered)
    assert len(sent(platform)) == 1


async def test_writing_to_the_page_opens_the_window(
    adapter: MessengerAdapter,
    account: Account[Any],
    platform: MessengerSandbox,
    server: PracticeServer,
    http: HttpClient,
) -> None:
    said = {"text": "Are you open?"}
    url = f"{server.url}/messenger/people/{EMMA.address}/messages"
    assert (await http.request("POST", url, json_body=said)).status == 201
    road = await courier(adapter, account)
    assert isinstance(await road.send(EMMA, key="k5"), Delivered)


async def test_an_unknown_person_is_suppressed_and_one_who_blocks_us_is_not(
    adapter: MessengerAdapter, account: Account[Any], platform: MessengerSandbox
) -> None:
    road = await courier(adapter, account)
    unknown = await road.send(Recipient(id="x", address="99"), key="k")
    assert isinstance(unknown, Unreachable)
    assert unknown.permanent
    blocking = Person("42", "Fatou", wrote_at=datetime.now(UTC).timestamp(), blocks_us=True)
    platform.people.add(account.settings.page_id, blocking)
    outcome = await road.send(Recipient(id="y", address="42"), key="k")
    assert isinstance(outcome, Unreachable)
    assert not outcome.permanent


async def test_a_poll_and_a_booking_link(
    adapter: MessengerAdapter,
    account: Account[Any],
    platform: MessengerSandbox,
    server: PracticeServer,
    http: HttpClient,
) -> None:
    post = Post(
        id="p9",
        body="The terrace is back.",
        poll=Poll(question="When do you come?", options=("Monday", "Tuesday")),
        actions=(Action(label="Book", url="https://cafe.example/book"), Action(label="Later")),
    )
    message = adapter.render(post, account)
    assert list(adapter.check(message, account)) == []
    road = await courier(adapter, account, message)
    assert isinstance(await road.send(AWA, key="k"), Delivered)
    (entry,) = sent(platform)
    template = entry.payload["attachment"]["payload"]
    assert template["text"] == "The terrace is back.\n\nWhen do you come?"
    assert template["buttons"] == [
        {"type": "web_url", "title": "Book", "url": "https://cafe.example/book"}
    ]
    replies = entry.payload["quick_replies"]
    assert [reply["title"] for reply in replies] == ["Monday", "Tuesday", "Later"]
    assert json.loads(replies[0]["payload"]) == {"post": "p9", "answer": "Monday"}
    seen = await http.request(
        "GET", f"{server.url}/messenger/www/{account.settings.page_id}/{AWA.address}"
    )
    assert "The terrace is back." in seen.text


@pytest.mark.parametrize("fault", [FaultName.ANSWER_LOST, FaultName.MALFORMED])
async def test_a_lost_answer_is_in_doubt_and_then_found_in_the_conversation(
    adapter: MessengerAdapter,
    account: Account[Any],
    platform: MessengerSandbox,
    fault: FaultName,
) -> None:
    road = await courier(adapter, account)
    platform.faults.add(Fault(fault, times=1))
    assert isinstance(await road.send(AWA, key="k"), Unconfirmed)
    (entry,) = sent(platform)
    found = await road.find(AWA, key="k", since=a_minute_ago())
    assert isinstance(found, Delivered)
    assert found.remote_id == entry.remote_id
    assert await road.find(BRUNO, key="k", since=a_minute_ago()) is Finding.ABSENT


async def test_a_template_cannot_be_told_from_another_so_nothing_is_proven(
    adapter: MessengerAdapter, account: Account[Any]
) -> None:
    message = replace(HELLO, options={"buttons": [{"title": "Book", "url": "https://x.example"}]})
    road = await courier(adapter, account, message)
    assert isinstance(await road.send(AWA, key="k"), Delivered)
    assert await road.find(AWA, key="k", since=a_minute_ago()) is Finding.UNKNOWN


async def test_a_long_conversation_that_does_not_reach_back_proves_nothing(
    adapter: MessengerAdapter, account: Account[Any], platform: MessengerSandbox
) -> None:
    for number in range(30):
        platform.ledger.write(
            "messenger",
            account.settings.page_id,
            kind="in",
            remote_id=f"m_{number}",
            text="Hello?",
            payload={"psid": AWA.address},
        )
    road = await courier(adapter, account)
    assert await road.find(AWA, key="k", since=a_minute_ago()) is Finding.UNKNOWN


async def test_a_server_error_is_in_doubt_and_then_proven_absent(
    adapter: MessengerAdapter, account: Account[Any], platform: MessengerSandbox
) -> None:
    road = await courier(adapter, account)
    platform.faults.add(Fault(FaultName.SERVER_ERROR, times=1))
    assert isinstance(await road.send(AWA, key="k"), Unconfirmed)
    assert await road.find(AWA, key="k", since=a_minute_ago()) is Finding.ABSENT


@pytest.mark.parametrize(
    ("fault", "outcome"),
    [
        (FaultName.TOKEN_DEAD, AccessLost),
        (FaultName.PERMISSION_LOST, AccessLost),
        (FaultName.PAGE_GONE, Gone),
        (FaultName.THROTTLED, Throttled),
        (FaultName.SERVER_ERROR, Unavailable),
    ],
)
async def test_no_courier_goes_out_when_the_page_cannot_write_at_all(
    adapter: MessengerAdapter,
    account: Account[Any],
    platform: MessengerSandbox,
    fault: FaultName,
    outcome: type,
) -> None:
    platform.faults.add(Fault(fault))
    assert isinstance(await adapter.open(HELLO, account), outcome)
    assert sent(platform) == []


async def test_a_page_that_stops_in_the_middle_is_not_the_persons_fault(
    adapter: MessengerAdapter, account: Account[Any], platform: MessengerSandbox
) -> None:
    road = await courier(adapter, account)
    platform.faults.add(Fault(FaultName.THROTTLED, seconds=300))
    throttled = await road.send(AWA, key="k")
    assert isinstance(throttled, Throttled)
    assert throttled.until is not None
    platform.faults.clear()
    platform.faults.add(Fault(FaultName.TOKEN_DEAD))
    assert isinstance(await road.send(AWA, key="k"), AccessLost)
    platform.faults.clear()
    platform.faults.add(Fault(FaultName.REJECTED))
    assert isinstance(await road.send(AWA, key="k"), Rejected)


async def test_probe_tells_the_states_apart(
    adapter: MessengerAdapter, account: Account[Any], platform: MessengerSandbox
) -> None:
    assert (await adapter.probe(account)).status is HealthStatus.HEALTHY
    platform.faults.add(Fault(FaultName.PERMISSION_LOST))
    health = await adapter.probe(account)
    assert (health.status, health.reason) == (HealthStatus.ACCESS_LOST, AccessReason.PERMISSION)
    platform.faults.clear()
    platform.faults.add(Fault(FaultName.PAGE_GONE))
    assert (await adapter.probe(account)).status is HealthStatus.VANISHED


async def test_probe_notices_that_nobody_receives_the_webhooks(
    adapter: MessengerAdapter, account: Account[Any], server: PracticeServer, http: HttpClient
) -> None:
    settings = account.settings
    url = f"{settings.base_url}/v26.0/{settings.page_id}/subscribed_apps"
    bearer = {"Authorization": f"Bearer {settings.access_token.get_secret_value()}"}
    assert (await http.request("DELETE", url, headers=bearer)).status == 200
    health = await adapter.probe(account)
    assert health.status is HealthStatus.DEGRADED
    assert health.remedy
