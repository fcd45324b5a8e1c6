"""The adapter against the practice relay, over real sockets."""

from dataclasses import replace
from typing import Any

import pytest

from channels.base import Account, Broadcasts, Courier
from channels.newsletter.courier import MailCourier
from channels.newsletter.sandbox import PracticeRelay
from channels.outcome import (
    AccessLost,
    AccessReason,
    Delivered,
    HealthStatus,
    RecipientOutcome,
    Rejected,
    Throttled,
    Unavailable,
    Unconfirmed,
    Unreachable,
)
from channels.sandbox.faults import Fault, FaultName

from .support import adapter, post, practice, reader


async def _courier(account: Account[Any]) -> Courier:
    channel = adapter()
    courier = await channel.open(channel.render(post(), account), account)
    assert isinstance(courier, MailCourier), courier
    return courier


async def _send_one(
    relay: PracticeRelay, account: Account[Any], fault: FaultName
) -> RecipientOutcome:
    relay.faults.add(Fault(fault))
    courier = await _courier(account)
    try:
        return await courier.send(reader(), key="delivery-1/amelie")
    finally:
        await courier.close()


def test_it_is_a_channel_that_broadcasts() -> None:
    assert isinstance(adapter(), Broadcasts)


async def test_each_reader_gets_a_mail_of_their_own() -> None:
    async with practice() as (relay, account):
        courier = await _courier(account)
        first = await courier.send(reader(), key="d1/amelie")
        second = await courier.send(reader("bob@example.org", name=""), key="d1/bob")
        await courier.close()

        mails = relay.ledger.entries("newsletter")
        assert isinstance(first, Delivered)
        assert isinstance(second, Delivered)
        assert [m.payload["recipients"] for m in mails] == [
            ["amelie@example.org"],
            ["bob@example.org"],
        ]
        assert [m.key for m in mails] == [first.remote_id, second.remote_id]
        assert "Bonjour Amélie," in mails[0].text
        assert "Bonjour chers amis," in mails[1].text
        assert "\n.\n" in mails[0].text.replace("\r\n", "\n")


async def test_a_resend_carries_the_same_message_id() -> None:
    async with practice() as (relay, account):
        for _ in range(2):
            courier = await _courier(account)
            await courier.send(reader(), key="d1/amelie")
            await courier.close()
        first, second = relay.ledger.entries("newsletter")
        assert first.key == second.key


async def test_one_refused_reader_stops_nobody_else() -> None:
    async with practice() as (relay, account):
        courier = await _courier(account)
        outcomes = [
            await courier.send(reader(address), key=address)
            for address in (
                "unknown@example.org",
                "a@example.org",
                "full@example.org",
                "grey@example.org",
                "b@example.org",
            )
        ]
        await courier.close()
        assert [type(outcome) for outcome in outcomes] == [
            Unreachable,
            Delivered,
            Unreachable,
            Unavailable,
            Delivered,
        ]
        assert [getattr(outcome, "permanent", None) for outcome in outcomes[:3:2]] == [True, False]
        assert len(relay.ledger.entries("newsletter")) == 2


@pytest.mark.parametrize(
    ("fault", "outcome"),
    [
        (FaultName.PERMISSION_LOST, AccessLost),
        (FaultName.ROLE_LOST, AccessLost),
        (FaultName.THROTTLED, Throttled),
        (FaultName.REJECTED, Rejected),
        (FaultName.SERVER_ERROR, Unavailable),
    ],
)
async def test_a_fault_before_the_mail_is_taken_writes_nothing(
    fault: FaultName, outcome: type[RecipientOutcome]
) -> None:
    async with practice() as (relay, account):
        assert isinstance(await _send_one(relay, account, fault), outcome)
        assert relay.ledger.entries("newsletter") == []


@pytest.mark.parametrize("fault", [FaultName.ANSWER_LOST, FaultName.MALFORMED])
async def test_no_answer_after_the_final_dot_is_unconfirmed(fault: FaultName) -> None:
    async with practice() as (relay, account):
        assert isinstance(await _send_one(relay, account, fault), Unconfirmed)
        assert len(relay.ledger.entries("newsletter")) == 1


async def test_after_a_lost_answer_the_next_reader_gets_a_new_connection() -> None:
    async with practice() as (relay, account):
        relay.faults.add(Fault(FaultName.ANSWER_LOST, times=1))
        courier = await _courier(account)
        assert isinstance(await courier.send(reader(), key="1"), Unconfirmed)
        assert isinstance(await courier.send(reader("b@example.org"), key="2"), Delivered)
        await courier.close()


async def test_a_dead_login_opens_no_road() -> None:
    async with practice() as (relay, account):
        relay.faults.add(Fault(FaultName.TOKEN_DEAD))
        channel = adapter()
        refused = await channel.open(channel.render(post(), account), account)
        assert isinstance(refused, AccessLost)
        assert refused.reason is AccessReason.TOKEN
        assert "practice" not in repr(refused).replace("practice.relay", "")


async def test_the_second_relay_carries_the_mail_when_the_first_is_down() -> None:
    async with practice() as (relay, account):
        (up,) = account.settings.relays
        down = up.model_copy(update={"port": 1})
        stranger = up.model_copy(update={"username": "nobody"})
        settings = account.settings.model_copy(update={"relays": (down, stranger, up)})
        courier = await _courier(replace(account, settings=settings))
        assert isinstance(await courier.send(reader(), key="1"), Delivered)
        await courier.close()
        assert len(relay.ledger.entries("newsletter")) == 1


async def test_no_relay_at_all_is_unavailable_and_nothing_counts_as_sent() -> None:
    async with practice() as (_, account):
        down = account.settings.relays[0].model_copy(update={"port": 1})
        gone = replace(account, settings=account.settings.model_copy(update={"relays": (down,)}))
        channel = adapter()
        assert isinstance(await channel.open(channel.render(post(), gone), gone), Unavailable)


async def test_a_probe_tells_healthy_login_and_down_apart() -> None:
    async with practice() as (relay, account):
        channel = adapter()
        assert (await channel.probe(account)).status is HealthStatus.HEALTHY
        relay.faults.add(Fault(FaultName.TOKEN_DEAD))
        assert (await channel.probe(account)).status is HealthStatus.ACCESS_LOST
        relay.faults.clear()
        (up,) = account.settings.relays
        down = up.model_copy(update={"port": 1})
        both = account.settings.model_copy(update={"relays": (up, down)})
        assert (await channel.probe(replace(account, settings=both))).status is (
            HealthStatus.DEGRADED
        )
        none = account.settings.model_copy(update={"relays": (down,)})
        assert (await channel.probe(replace(account, settings=none))).status is (
            HealthStatus.PLATFORM_DOWN
        )
