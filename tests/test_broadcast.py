"""Broadcasts against both databases and a real SMTP relay."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, insert, select, update

from channels.base import Account, Courier, Recipient
from channels.newsletter.adapter import Newsletter
from channels.newsletter.sandbox import PracticeRelay
from channels.outcome import (
    AccessLost,
    Delivered,
    Outcome,
    RecipientOutcome,
    Rejected,
    Throttled,
    Unavailable,
)
from channels.posts import Message
from channels.sandbox.faults import Fault, FaultName
from scheduler.audience.suppression import fingerprint
from scheduler.broadcast import Broadcaster
from scheduler.clock import Clock
from scheduler.deliveries import Delivery
from scheduler.ending import end
from scheduler.leaving import LEAVING
from scheduler.logbook import Logbook
from scheduler.store import recipients as store
from scheduler.store.audience_tables import contacts, memberships, recipients, suppressions
from scheduler.store.choosing import choose
from scheduler.store.db import Database
from scheduler.store.return_tables import returns
from scheduler.store.tables import accounts, deliveries
from scheduler.verdicts import Pace
from tests.channels.newsletter.support import adapter, post, practice
from tests.support.audience import ACCOUNT, DELIVERY, seed, states, take_over

KEY = b"a key of the suppression list"
SOON = Pace(connections=3, chunk=7, defer_us=1000, defer_cap_us=5000)


class Rig:
    """One newsletter, its relay and its store."""

    def __init__(
        self, database: Database, relay: PracticeRelay, account: Account[Any], logbooks: Path
    ) -> None:
        self.database, self.relay, self.logbooks = database, relay, logbooks
        self.account = replace(account, id=ACCOUNT)
        self.channel: Newsletter = adapter()
        self.clock = Clock()

    def desk(self, pace: Pace = SOON) -> Broadcaster:
        return Broadcaster(
            database=self.database,
            clock=self.clock,
            logbooks=self.logbooks,
            key=KEY,
            link=lambda contact, account: f"https://example.org/u/{account}/{contact}",
            pace=pace,
        )

    async def seed(self, *emails: str) -> Delivery:
        readers = [{"id": f"c{number}", "email": email} for number, email in enumerate(emails)]
        return await seed(self.database, readers, now=self.clock.micros())

    async def run(self, delivery: Delivery, pace: Pace = SOON, channel: Any = None) -> Outcome:
        message = self.channel.render(post(), self.account)
        return await self.desk(pace).run(delivery, message, self.account, channel or self.channel)

    @property
    def received(self) -> Counter[str]:
        return Counter(
            str(entry.payload["recipient"]) for entry in self.relay.ledger.entries("newsletter")
        )


@pytest.fixture
async def rig(database: Database, tmp_path: Path) -> AsyncIterator[Rig]:
    async with practice() as (relay, account):
        yield Rig(database, relay, account, tmp_path / "logbooks")


def _addresses(count: int) -> list[str]:
    return [f"r{number}@example.org" for number in range(count)]


async def test_everyone_gets_one_mail_and_is_accounted_for(rig: Rig) -> None:
    delivery = await rig.seed(*_addresses(40))
    outcome = await rig.run(delivery)
    assert isinstance(outcome, Delivered)
    assert outcome.note == "40 selected: 40 accepted"
    assert rig.received == Counter(_addresses(40))
    assert list(rig.logbooks.iterdir()) == []
    mail = rig.relay.ledger.entries("newsletter")[0]
    assert f"https://example.org/u/{ACCOUNT}/c" in mail.text
    async with rig.database.read() as connection:
        reached = await connection.execute(select(contacts.c.contacted_at))
        assert all(row[0] for row in reached)


async def test_refused_and_suppressed_are_counted_apart(rig: Rig) -> None:
    delivery = await rig.seed(
        "a@example.org", "unknown@example.org", "full@example.org", "Never@Example.org"
    )
    async with rig.database.write() as connection:
        await connection.execute(
            insert(suppressions).values(
                hash=fingerprint(KEY, "never@example.org"), reason="erased", at=1
            )
        )
    outcome = await rig.run(delivery)
    assert isinstance(outcome, Delivered)
    assert await states(rig.database) == {
        "c0": "accepted", "c1": "refused", "c2": "refused", "c3": "suppressed",
    }  # fmt: skip
    assert rig.received == Counter(["a@example.org"])
    async with rig.database.read() as connection:
        banned = await store.suppressed(connection, [fingerprint(KEY, "unknown@example.org")])
    assert banned


async def test_who_unsubscribes_before_their_turn_gets_nothing(rig: Rig) -> None:
    delivery = await rig.seed(*_addresses(3))
    await rig.desk().run(delivery, Message(post_id="p", text=""), rig.account, _Closed())
    async with rig.database.write() as connection:
        await connection.execute(
            update(memberships).where(memberships.c.contact_id == "c1").values(state="unsubscribed")
        )
        await connection.execute(delete(memberships).where(memberships.c.contact_id == "c2"))
    assert isinstance(await rig.run(delivery), Delivered)
    assert await states(rig.database) == {"c0": "accepted", "c1": "suppressed", "c2": "suppressed"}


async def test_who_signs_up_after_the_start_is_not_added(rig: Rig) -> None:
    delivery = await rig.seed("a@example.org")
    await rig.desk().run(delivery, Message(post_id="p", text=""), rig.account, _Closed())
    async with rig.database.write() as connection:
        row = {"name": "", "language": "", "attributes": {}, "tags": [], "created_at": 0}
        await connection.execute(
            insert(contacts).values(id="new", email="new@example.org", updated_at=0, **row)
        )
        await connection.execute(
            insert(memberships).values(
                list_id=ACCOUNT, contact_id="new", state="subscribed", since=0
            )
        )
    assert isinstance(await rig.run(delivery), Delivered)
    assert rig.received == Counter(["a@example.org"])


async def test_an_unsubscription_in_mid_run_takes_effect_within_a_second(rig: Rig) -> None:
    delivery = await rig.seed(*_addresses(30))
    began, go = asyncio.Event(), asyncio.Event()

    async def hold(_outcome: RecipientOutcome) -> None:
        began.set()
        await go.wait()

    pace = replace(SOON, connections=1, chunk=30, recheck_us=0, flush_us=1000)
    channel = _Wrapped(rig.channel, after=hold)
    running = asyncio.create_task(rig.run(delivery, pace, channel))
    await began.wait()
    async with rig.database.write() as connection:
        await connection.execute(update(memberships).values(state="unsubscribed"))
    while "suppressed" not in (await states(rig.database)).values():  # noqa: ASYNC110 -- SQL has no event
        await asyncio.sleep(0.01)
    go.set()
    await running
    assert rig.received.total() == 1
    tally = Counter((await states(rig.database)).values())
    assert tally["accepted"] + tally["suppressed"] == 30


async def test_refusals_for_now_are_tried_until_all_are_accepted(rig: Rig) -> None:
    delivery = await rig.seed(*_addresses(30))
    rig.relay.faults.add(Fault(FaultName.SERVER_ERROR, every=3))
    outcome = await rig.run(delivery)
    assert isinstance(outcome, Delivered)
    assert rig.received == Counter(_addresses(30))


async def test_patience_ends_and_says_so(rig: Rig) -> None:
    delivery = await rig.seed("a@example.org", "grey@example.org")
    rig.clock = leaping = _Leaping()
    outcome = await rig.run(delivery, channel=_Wrapped(rig.channel, after=leaping.leap_if_refused))
    assert isinstance(outcome, Delivered)
    assert await states(rig.database) == {"c0": "accepted", "c1": "refused"}


async def test_a_lost_answer_leaves_one_named_doubt_and_no_second_mail(rig: Rig) -> None:
    delivery = await rig.seed(*_addresses(12))
    rig.relay.faults.add(Fault(FaultName.ANSWER_LOST, times=1))
    outcome = await rig.run(delivery)
    assert isinstance(outcome, Delivered)
    assert "1 uncertain" in outcome.note
    assert rig.received == Counter(_addresses(12))


@pytest.mark.parametrize(
    ("fault", "outcome"),
    [
        (FaultName.THROTTLED, Throttled),
        (FaultName.PERMISSION_LOST, AccessLost),
        (FaultName.ROLE_LOST, AccessLost),
        (FaultName.REJECTED, Rejected),
        (FaultName.ANSWER_LOST, AccessLost),
        (FaultName.TOKEN_DEAD, AccessLost),
    ],
)
async def test_what_would_hit_everyone_stops_the_run(
    rig: Rig, fault: FaultName, outcome: type[Outcome]
) -> None:
    delivery = await rig.seed(*_addresses(60))
    rig.relay.faults.add(Fault(fault))
    assert isinstance(await rig.run(delivery), outcome)
    tally = Counter((await states(rig.database)).values())
    assert tally["refused"] == tally["suppressed"] == tally["accepted"] == tally["sending"] == 0
    assert tally["pending"] >= 40

    rig.relay.faults.clear()
    await take_over(rig.database, "token-2")
    assert isinstance(await rig.run(replace(delivery, token="token-2")), Delivered)
    assert max(rig.received.values()) == 1
    assert rig.received.total() == 60


async def test_a_policy_refusal_is_never_held_against_the_reader(rig: Rig) -> None:
    delivery = await rig.seed(*_addresses(12))
    rig.relay.faults.add(Fault(FaultName.REJECTED, times=1))
    assert isinstance(await rig.run(delivery), Delivered)
    assert Counter((await states(rig.database)).values()) == {"accepted": 11, "refused": 1}
    async with rig.database.read() as connection:
        of = (await connection.execute(select(memberships.c.state))).scalars().all()
        assert of == ["subscribed"] * 12
        assert (await connection.execute(select(suppressions.c.hash))).all() == []
        assert (await connection.execute(select(returns.c.id))).all() == []


async def test_a_relay_that_our_dns_records_displease_is_left_for_the_next(rig: Rig) -> None:
    delivery = await rig.seed(*_addresses(40))
    rig.relay.faults.add(Fault(FaultName.ROLE_LOST))
    async with practice() as (other, theirs):
        both = (*rig.account.settings.relays, *theirs.settings.relays)
        settings = rig.account.settings.model_copy(update={"relays": both})
        rig.account = replace(rig.account, settings=settings)
        assert isinstance(await rig.run(delivery), Delivered)
        mails = other.ledger.entries("newsletter")
        assert {str(mail.payload["recipient"]) for mail in mails} == set(_addresses(40))
        assert len(mails) == 40
    assert not rig.received
    assert Counter((await states(rig.database)).values()) == {"accepted": 40}


async def test_no_relay_means_nobody_counts_as_sent(rig: Rig) -> None:
    delivery = await rig.seed(*_addresses(5))
    await rig.relay.stop()
    assert isinstance(await rig.run(delivery), Unavailable)
    assert set((await states(rig.database)).values()) == {"pending"}


async def test_a_recipient_that_nobody_accounts_for_keeps_it_from_being_done(rig: Rig) -> None:
    delivery = await rig.seed(*_addresses(5))

    async def mislay(_outcome: RecipientOutcome) -> None:
        async with rig.database.write() as connection:
            await connection.execute(
                update(recipients)
                .where(recipients.c.contact_id == "c4")
                .values(state="sending", worker="nobody")
            )

    outcome = await rig.run(delivery, channel=_Wrapped(rig.channel, after=mislay))
    assert isinstance(outcome, Unavailable)
    assert "not everyone is accounted for" in outcome.reason


async def test_nobody_to_write_to_is_not_a_success(rig: Rig) -> None:
    outcome = await rig.run(await rig.seed())
    assert isinstance(outcome, Rejected)
    assert outcome.problem.code == "no-recipients"


async def test_a_run_that_lost_its_claim_writes_to_nobody(rig: Rig) -> None:
    delivery = await rig.seed(*_addresses(5))
    await take_over(rig.database, "somebody-else")
    assert isinstance(await rig.run(delivery), Unavailable)
    assert rig.received == Counter()


async def test_a_paused_account_waits(rig: Rig) -> None:
    delivery = await rig.seed(*_addresses(5))
    async with rig.database.write() as connection:
        await connection.execute(
            update(accounts).values(paused_until=rig.clock.micros() + 3_600_000_000)
        )
    outcome = await rig.run(delivery)
    assert isinstance(outcome, Throttled)
    assert outcome.ours
    assert rig.received == Counter()


async def test_a_run_that_is_cut_off_is_gone_on_with_at_once(rig: Rig) -> None:
    delivery = await rig.seed(*_addresses(30))
    answers, enough = 0, asyncio.Event()

    async def hold(_outcome: RecipientOutcome) -> None:
        nonlocal answers
        answers += 1
        if answers > 10:
            enough.set()
            await asyncio.Event().wait()

    run = asyncio.create_task(rig.run(delivery, channel=_Wrapped(rig.channel, after=hold)))
    async with asyncio.timeout(60):
        await enough.wait()
    await _cut_off(rig, run)
    await _gone_on_with(rig, delivery)
    assert rig.received == Counter(_addresses(30))


class _Hanging(Newsletter):
    """A newsletter whose relay says nothing when it is called."""

    def __init__(self, inner: Newsletter) -> None:
        self._inner, self.called = inner, asyncio.Event()

    async def open(self, message: Message, account: Account[Any]) -> Courier | Outcome:
        self.called.set()
        await asyncio.Event().wait()
        raise AssertionError


@pytest.mark.parametrize("when", ["before it begins", "while its relay hangs", "while it naps"])
async def test_a_run_that_is_told_to_end_is_gone_on_with_by_another(rig: Rig, when: str) -> None:
    delivery = await rig.seed(*_addresses(12))
    leaving = asyncio.Event()
    LEAVING.set(leaving)
    channel, pace = _Hanging(rig.channel), replace(SOON, defer_us=3600_000_000)
    if when == "before it begins":
        leaving.set()
    elif when == "while it naps":
        rig.relay.faults.add(Fault(FaultName.SERVER_ERROR, times=1))
    run = asyncio.create_task(rig.run(delivery, pace, None if "naps" in when else channel))
    async with asyncio.timeout(60):
        if when == "while its relay hangs":
            await channel.called.wait()
        while "naps" in when and rig.received.total() < 11:  # noqa: ASYNC110 -- a practice relay
            await asyncio.sleep(0.01)
        leaving.set()
        outcome = await run
    assert isinstance(outcome, Throttled)
    assert outcome.ours
    assert "sending" not in (await states(rig.database)).values()
    assert list(rig.logbooks.iterdir()) == []

    LEAVING.set(None)
    await take_over(rig.database, "token-2")
    async with rig.database.write() as connection:
        await connection.execute(update(recipients).values(next_at=0))
    assert isinstance(await rig.run(replace(delivery, token="token-2")), Delivered)
    assert rig.received == Counter(_addresses(12))


async def test_a_run_whose_relay_hangs_is_gone_on_with_at_once(rig: Rig) -> None:
    delivery = await rig.seed(*_addresses(30))
    hang = Fault(FaultName.HANG, times=1)
    rig.relay.faults.add(hang)
    run = asyncio.create_task(rig.run(delivery))
    async with asyncio.timeout(60):
        while not hang.seen or rig.received.total() < 20:  # noqa: ASYNC110 -- a practice relay
            await asyncio.sleep(0.01)
    await _cut_off(rig, run)
    await _gone_on_with(rig, delivery)
    assert max(rig.received.values()) == 1
    assert rig.received.total() >= 29


async def _cut_off(rig: Rig, run: asyncio.Task[Outcome]) -> None:
    """Its worker stops, and the delivery is everyone's again."""
    await end([run], within=60)
    async with rig.database.read() as connection:
        row = (await connection.execute(select(deliveries))).one()
    assert (row.state, row.token, row.worker, row.lease_until) == ("scheduled", None, None, None)
    assert list(rig.logbooks.iterdir()) == []


async def _gone_on_with(rig: Rig, delivery: Delivery) -> None:
    """By another worker: in doubt is one reader a connection at most."""
    await take_over(rig.database, "token-2")
    assert isinstance(await rig.run(replace(delivery, token="token-2")), Delivered)
    found = Counter((await states(rig.database)).values())
    assert 1 <= found["uncertain"] <= SOON.connections
    assert found == {"accepted": 30 - found["uncertain"], "uncertain": found["uncertain"]}


async def _interrupted(rig: Rig, prove: Callable[[Logbook], None] | None) -> Delivery:
    """A delivery whose first worker died with c0 … c3 claimed."""
    delivery = await rig.seed(*_addresses(6))
    async with rig.database.write() as connection:
        await choose(
            rig.database, connection, delivery_id=DELIVERY, account_id=ACCOUNT, by_email=True,
            now=1, at_once=5000,
        )  # fmt: skip
        await connection.execute(
            update(recipients)
            .where(recipients.c.contact_id.in_(["c0", "c1", "c2", "c3"]))
            .values(state="sending", worker="token-1")
        )
    if prove is not None:
        book = Logbook(rig.logbooks, DELIVERY, "token-1")
        prove(book)
        book.close(settled=False)
    await take_over(rig.database, "token-2")
    return replace(delivery, token="token-2")


def _died_in_mid_mail(book: Logbook) -> None:
    book.leaving("c0")
    book.answered("c0", "accepted", "2.0.0")
    book.leaving("c1")


async def test_after_a_kill_only_what_was_under_way_is_in_doubt(rig: Rig) -> None:
    delivery = await _interrupted(rig, _died_in_mid_mail)
    assert isinstance(await rig.run(delivery), Delivered)
    assert await states(rig.database) == {
        "c0": "accepted", "c1": "uncertain", "c2": "accepted", "c3": "accepted",
        "c4": "accepted", "c5": "accepted",
    }  # fmt: skip
    assert rig.received == Counter(_addresses(6)[2:])
    assert list(rig.logbooks.iterdir()) == []


def _choose_to_resend(rig: Rig) -> None:
    settings = rig.account.settings.model_copy(update={"uncertain": "resend"})
    rig.account = replace(rig.account, settings=settings)


async def test_doubt_is_sent_again_only_by_choice(rig: Rig) -> None:
    delivery = await _interrupted(rig, _died_in_mid_mail)
    _choose_to_resend(rig)
    assert isinstance(await rig.run(delivery), Delivered)
    assert rig.received == Counter(_addresses(6)[1:])


async def test_a_lost_answer_is_asked_again_by_choice_with_the_same_message_id(rig: Rig) -> None:
    delivery = await rig.seed(*_addresses(12))
    _choose_to_resend(rig)
    rig.relay.faults.add(Fault(FaultName.ANSWER_LOST, times=1))
    assert isinstance(await rig.run(delivery), Delivered)
    assert Counter((await states(rig.database)).values()) == {"accepted": 12}
    twice = [who for who, times in rig.received.items() if times == 2]
    assert len(twice) == 1
    assert rig.received.total() == 13
    mails = rig.relay.ledger.entries("newsletter")
    assert len({mail.key for mail in mails if mail.payload["recipient"] == twice[0]}) == 1
    assert len({mail.key for mail in mails}) == 12


async def test_without_its_logbook_all_that_a_dead_worker_claimed_is_in_doubt(rig: Rig) -> None:
    outcome = await rig.run(await _interrupted(rig, None))
    assert isinstance(outcome, Delivered)
    assert Counter((await states(rig.database)).values()) == {"uncertain": 4, "accepted": 2}
    assert rig.received == Counter(_addresses(6)[4:])


class _Closed(Newsletter):
    """A newsletter whose relays are all down."""

    def __init__(self) -> None:
        """Needs no tools: it never gets that far."""

    async def open(self, message: Message, account: Account[Any]) -> Courier | Outcome:
        return Unavailable(reason="down")


class _Leaping(Clock):
    """A clock that jumps two days when somebody is refused."""

    ahead = 0

    def micros(self) -> int:
        return super().micros() + self.ahead

    async def leap_if_refused(self, outcome: RecipientOutcome) -> None:
        if not isinstance(outcome, Delivered):
            self.ahead = 3 * 24 * 3600 * 1_000_000


class _Wrapped(Newsletter):
    """The newsletter; `after` is awaited with each outcome."""

    def __init__(
        self, inner: Newsletter, *, after: Callable[[RecipientOutcome], Awaitable[None]]
    ) -> None:
        self._inner, self.after = inner, after

    async def open(self, message: Message, account: Account[Any]) -> Courier | Outcome:
        opened = await self._inner.open(message, account)
        assert not isinstance(opened, Outcome)
        return _Observed(self.after, opened)


class _Observed:
    def __init__(
        self, after: Callable[[RecipientOutcome], Awaitable[None]], inner: Courier
    ) -> None:
        self._after, self._inner = after, inner

    async def send(self, recipient: Recipient, *, key: str) -> RecipientOutcome:
        outcome = await self._inner.send(recipient, key=key)
        await self._after(outcome)
        return outcome

    async def close(self) -> None:
        await self._inner.close()
