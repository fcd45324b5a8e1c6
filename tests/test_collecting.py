"""Mailboxes that bounces come back to: each report counts once, and nothing else is touched."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import delete, insert, select, update

from channels.abilities import Collects, Haul
from channels.base import letter_number
from scheduler.admission import admit
from scheduler.audience.exporting import person
from scheduler.audience.returns import Kind, tag_of
from scheduler.care import collector_of
from scheduler.decide import SECOND
from scheduler.refusals import Refusal, RefusedError
from scheduler.returned import TOO_OFTEN
from scheduler.roster import Member
from scheduler.services import Services, open_services
from scheduler.settings import Settings
from scheduler.store import accounts, audience, contacts, lists
from scheduler.store import returns as store
from scheduler.store.alert_tables import alerts
from scheduler.store.audience import Action, Consent
from scheduler.store.audience_tables import consents, memberships, recipients, suppressions
from scheduler.store.return_tables import mailboxes, returns
from scheduler.store.tables import deliveries, posts
from scheduler.web.api.mailings import figures
from scheduler.web.public import key_of
from tests.audience.test_returns import _bounce, _complaint, _leaving
from tests.channels.newsletter.support import practice
from tests.support.clocks import SetClock
from tests.support.mailbox import PracticeMailbox
from tests.support.ports import free_ports
from tests.web.support import connect

DAY = 24 * 3600 * SECOND


@dataclass
class Bench:
    """A newsletter whose bounces come back to a mailbox, and two readers."""

    services: Services
    clock: SetClock
    box: PracticeMailbox
    account_id: str
    readers: Sequence[str]

    async def round(self) -> int:
        return await collector_of(self.services).round()

    def tag(self, reader: int = 0) -> str:
        return tag_of(key_of(self.services), self.readers[reader])

    async def rows(self, table: Any) -> Sequence[Any]:
        async with self.services.database.read() as connection:
            return (await connection.execute(select(table))).all()

    async def reasons(self) -> list[str]:
        return sorted(row.reason for row in await self.rows(suppressions))


def settings_for(box: PracticeMailbox, **mailbox: Any) -> dict[str, Any]:
    return {
        "from_address": "letter@shop.example.org",
        "publisher": "The shop",
        "envelope_from": "bounces@shop.example.org",
        "relays": [{"host": "127.0.0.1", "port": 1, "tls": "none"}],
        "returns": {
            "host": "127.0.0.1", "port": box.port, "tls": "none", "username": "bounces",
            "password": "secret", **mailbox,
        },
    }  # fmt: skip


def mailbox() -> PracticeMailbox:
    """On a port that nobody else is given while it is away."""
    (port,) = free_ports(1)
    return PracticeMailbox(port=port)


@pytest.fixture
async def bench(database_url: str, tmp_path: Path) -> AsyncIterator[Bench]:
    settings = Settings(data_dir=tmp_path, database_url=database_url, redis_url="none")
    # Refusals are counted by days: none ends in the middle of a test.
    clock = SetClock(datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0))
    async with open_services(settings, clock=clock) as services, mailbox() as box:
        account_id = await connect(services, "Letter", "newsletter", **settings_for(box))
        readers = []
        async with services.database.write() as connection:
            for name in ("ann", "bob"):
                reader, _ = await contacts.meet(
                    connection,
                    services.database,
                    {"email": f"{name}@x.org"},
                    now=services.clock.micros(),
                )
                readers.append(reader)
        yield Bench(services, clock, box, account_id, readers)


async def test_reports_are_applied_once_and_other_mails_left_alone(bench: Bench) -> None:
    box = bench.box
    gone = box.arrive(_bounce("5.1.1", tag=bench.tag(0)))
    stranger = box.arrive(_bounce("5.1.1", tag="a" * 39))
    answer = box.arrive(b"To: letter@shop.example.org\r\n\r\nThank you!")
    angry = box.arrive(_complaint(tag=bench.tag(1)))

    assert await bench.round() == 2

    assert await bench.reasons() == [Kind.COMPLAINT, Kind.GONE]
    assert box.seen == {gone, angry}
    assert not box.seen & {stranger, answer}
    visits = box.logins
    assert await bench.round() == 0
    assert box.logins == visits + 1, "nothing new is one visit"
    assert len(await bench.rows(returns)) == 2


async def test_a_mailbox_numbered_anew_is_read_again_and_counts_nothing_twice(
    bench: Bench,
) -> None:
    bench.box.arrive(_bounce("4.2.2", tag=bench.tag()))
    assert await bench.round() == 1
    old = bench.box.mails.pop(1)
    bench.box.validity = 7
    bench.box.arrive(_bounce("5.1.1", tag=bench.tag(1)))
    bench.box.arrive(old)

    assert await bench.round() == 1

    assert [row.validity for row in await bench.rows(mailboxes)] == [7]
    assert len(await bench.rows(returns)) == 2


async def test_more_than_one_visit_takes_is_read_in_several(bench: Bench) -> None:
    for number in range(120):
        bench.box.arrive(b"Message-ID: <%d@x>\r\n" % number + _bounce("4.4.7", tag=bench.tag()))
    assert await bench.round() == 120
    assert len(bench.box.seen) == 120


@pytest.mark.parametrize("at", ["SELECT", "UID STORE", "UID SEARCH", "LOGOUT"])
async def test_a_connection_that_breaks_neither_skips_nor_doubles(bench: Bench, at: str) -> None:
    broken = False

    def breaks(command: str) -> None:
        nonlocal broken
        if command.startswith((at, at.replace("SELECT", "EXAMINE"))) and not broken:
            broken = True
            raise ConnectionResetError

    uid = bench.box.arrive(_bounce("5.1.1", tag=bench.tag()))
    bench.box.before = breaks
    told = await bench.round()
    assert broken
    told += await bench.round()

    assert told == 1
    assert bench.box.seen == {uid}
    assert await bench.reasons() == [Kind.GONE]


async def test_a_kill_after_the_note_still_puts_the_mail_away(bench: Bench) -> None:
    """What was committed before the kill says which mails wait to be put away."""
    uid = bench.box.arrive(_bounce("5.1.1", tag=bench.tag()))
    collector = collector_of(bench.services)
    member, found = await _visited(bench, await _progress(bench))
    await collector._applied(member, await _progress(bench), found)
    assert bench.box.seen == set()

    assert await bench.round() == 0

    assert bench.box.seen == {uid}
    assert [row.handled for row in await bench.rows(mailboxes)] == [[]]


async def test_two_readers_of_one_mailbox_count_a_report_once(bench: Bench) -> None:
    collector = collector_of(bench.services)
    for number in (1, 2):  # a mailbox never read, and one that was
        name = b"Message-ID: <%d@x>\r\n" % number
        uid = bench.box.arrive(name + _bounce("4.2.2", tag=bench.tag()))
        before = await _progress(bench)
        member, found = await _visited(bench, before)
        first = await collector._applied(member, before, found)
        second = await collector._applied(member, before, found)
        assert (first, second) == (([uid], 1), ([], 0))


async def _visited(bench: Bench, before: store.Progress) -> tuple[Member, Haul]:
    """The visit of a reader who has not applied what it found."""
    member = (await bench.services.roster.everyone())[bench.account_id]
    assert isinstance(member.channel, Collects)

    async def keep(_changed: object) -> None:
        raise AssertionError

    found = await member.channel.collect(
        member.account, since=before.bookmark, handled=before.handled, keep=keep
    )
    assert isinstance(found, Haul)
    return member, found


async def _progress(bench: Bench) -> store.Progress:
    return await store.progress(bench.services.database, bench.account_id)


async def test_handled_mails_go_to_a_folder_of_their_own(bench: Bench, tmp_path: Path) -> None:
    await connect(
        bench.services, "Other", "newsletter", **settings_for(bench.box, move_to="Returns/read")
    )
    async with bench.services.database.write() as connection:
        await accounts.archive(connection, bench.account_id, bench.services.clock.micros())
    uid = bench.box.arrive(_bounce("5.1.1", tag=bench.tag()))
    answer = bench.box.arrive(b"Subject: hello\r\n\r\nhello")

    assert await bench.round() == 1

    assert bench.box.moved == {"Returns/read": {uid}}
    assert set(bench.box.mails) == {answer}


async def test_refusals_on_several_days_end_it_and_a_bad_evening_does_not(bench: Bench) -> None:
    wanted = bench.services.settings.refusals_end
    for day in range(wanted):
        for hour in range(3):
            assert await bench.reasons() == []
            stamp = b"Message-ID: <%d.%d@x>\r\n" % (day, hour)
            status = "5.2.2" if hour else "5.7.1"
            bench.box.arrive(stamp + _bounce(status, tag=bench.tag()))
            assert await bench.round() == 1
            if day == wanted - 1 and hour:
                break
        bench.clock.ahead_us += DAY
    assert await bench.reasons() == [TOO_OFTEN]

    async with bench.services.database.write() as connection:
        await connection.execute(delete(suppressions))  # they confirmed their address again
    bench.box.arrive(b"Message-ID: <after@x>\r\n" + _bounce("5.2.2", tag=bench.tag()))
    assert await bench.round() == 1
    assert await bench.reasons() == [], "counting begins anew"


async def test_refusals_long_ago_do_not_count(bench: Bench) -> None:
    for number in range(bench.services.settings.refusals_end + 2):
        bench.box.arrive(b"Message-ID: <%d@x>\r\n" % number + _bounce("5.2.2", tag=bench.tag()))
        assert await bench.round() == 1
        bench.clock.ahead_us += 20 * DAY
    assert await bench.reasons() == []


@pytest.mark.parametrize(("wrong", "rounds"), [("password", 1), ("folder", 1), ("port", 3)])
async def test_a_broken_mailbox_alarms_with_its_remedy_and_is_quiet_once_mended(
    bench: Bench, wrong: str, rounds: int
) -> None:
    box = bench.box
    kept = box.password, box.folders
    port, server = box.port, box._server
    if wrong == "password":
        box.password = "changed"
    elif wrong == "folder":
        box.folders = set()
    else:
        assert server is not None
        server.close()
    for number in range(rounds):
        assert len(await bench.rows(alerts)) == 0, number
        assert await bench.round() == 0
    (alert,) = await bench.rows(alerts)
    assert (alert.kind, alert.resolved_at) == ("account.mailbox-broken", None)
    assert alert.data["account_id"] == bench.account_id
    assert alert.data["action"]
    assert "secret" not in str(alert.data)

    box.password, box.folders = kept
    if wrong == "port":
        box._server = await asyncio.start_server(box._serve, "127.0.0.1", port)
    uid = box.arrive(_bounce("5.1.1", tag=bench.tag()))
    assert await bench.round() == 1
    assert box.seen == {uid}
    (alert,) = await bench.rows(alerts)
    assert alert.resolved_at is not None


async def test_what_came_back_is_shown_to_the_person_and_forgotten_with_them(bench: Bench) -> None:
    bench.box.arrive(_bounce("5.2.2", tag=bench.tag()))
    assert await bench.round() == 1
    async with bench.services.database.read() as connection:
        whole = await person(connection, bench.readers[0])
    assert whole is not None
    assert [one["status"] for one in whole["returns"]] == ["5.2.2"]
    async with bench.services.database.write() as connection:
        await contacts.erase(
            connection, bench.services.database, contact_id=bench.readers[0],
            key=key_of(bench.services), now=bench.services.clock.micros(),
        )  # fmt: skip
    assert await bench.rows(returns) == []


async def test_mailboxes_that_a_relay_called_full_count_like_bounces(bench: Bench) -> None:
    """As often as it is looked, a mailing's refusal counts once; on several days it ends it."""
    ann, bob = bench.readers
    wanted = bench.services.settings.refusals_end
    for number in range(wanted):
        assert await bench.reasons() == []
        now = bench.clock.micros()
        await mailed(bench, f"mailing-{number}", now, {ann: "5.2.2", bob: "5.7.1"})
        since = now - DAY // 2
        told = [await collector_of(bench.services).count_full(since) for _ in range(2)]
        assert told == [1, 0]
        bench.clock.ahead_us += DAY
    assert await bench.reasons() == [TOO_OFTEN]
    assert {row.source for row in await bench.rows(returns)} == {"relay"}


async def test_what_came_back_later_is_told_of_the_mailing_that_it_belonged_to(
    bench: Bench,
) -> None:
    now, (ann, bob) = bench.services.clock.micros(), bench.readers
    for name, at in (("first", now - DAY), ("second", now - DAY // 2)):
        await mailed(bench, name, at, {ann: "250", bob: "250"})
    async with bench.services.database.write() as connection:
        await connection.execute(update(recipients).values(state="accepted"))
    await mailed(bench, "third", now, {ann: "4.2.2"})
    number = f"<{letter_number(f'first/{ann}')}@shop.example.org>".encode()
    subject = b"Subject: Our letter\r\n"
    named = _bounce("5.2.2", tag=bench.tag(0)).replace(
        subject, subject + b"Message-ID: " + number + b"\r\n"
    )
    bench.box.arrive(named)
    bench.box.arrive(_complaint(tag=bench.tag(1)))  # names no mail of ours: the last they got
    bench.box.arrive(_bounce("4.4.1", action="delayed", tag=bench.tag(1)))
    assert await bench.round() == 3
    await collector_of(bench.services).count_full(0)  # the relay's own word came no later
    rows = {(row.delivery_id, row.contact_id): row for row in await bench.rows(recipients)}
    assert {key: row.later for key, row in rows.items() if row.later} == {
        ("first", ann): "bounced",
        ("second", bob): "complained",
    }
    assert "5.2.2" in rows["first", ann].detail
    said = await figures(bench.services, "first")
    names = ("selected", "accepted", "delivered", "bounced", "complained")
    assert [said[name] for name in names] == [2, 2, 1, 1, 0]  # type: ignore[literal-required]
    said = await figures(bench.services, "second")
    assert [said[name] for name in names] == [2, 2, 2, 0, 1]  # type: ignore[literal-required]


async def test_who_writes_to_unsubscribe_leaves_that_list_and_may_come_back(bench: Bench) -> None:
    now, (ann, bob) = bench.services.clock.micros(), bench.readers
    database = bench.services.database
    async with database.write() as connection:
        other = await lists.create(connection, {"name": "Other", "language": "fr"}, now=now)
        await lists.find(connection, database, bench.account_id, now=now)
        for reader in (ann, bob):
            for list_id in (other, bench.account_id):
                proof = Consent(action=Action.SUBSCRIBE, at=now, confirmed_at=now)
                await audience.subscribe(
                    connection, database, contact_id=reader, list_id=list_id, consent=proof, now=now
                )
    await mailed(bench, "first", now, {ann: "250"})
    subject = f"unsubscribe {letter_number(f'first/{ann}')}"
    mail = bench.box.arrive(_leaving(subject, tag=bench.tag(0)))
    bench.box.arrive(_leaving(tag=bench.tag(1)))  # of a mailing that nobody remembers
    assert await bench.round() == 2
    assert mail in bench.box.seen
    states = {(row.contact_id, row.list_id): row.state for row in await bench.rows(memberships)}
    assert states == {
        (ann, bench.account_id): "unsubscribed",
        (ann, other): "subscribed",
        (bob, bench.account_id): "unsubscribed",
        (bob, other): "unsubscribed",
    }
    assert await bench.reasons() == []
    assert [row.later for row in await bench.rows(recipients)] == [""]
    left = [row for row in await bench.rows(consents) if row.action == Action.UNSUBSCRIBE]
    assert {row.source for row in left} == {"mail to unsubscribe"}


async def mailed(bench: Bench, name: str, now: int, refused: dict[str, str]) -> None:
    """A mailing that ended, in which relays refused these readers with these codes."""
    row = {"created_at": now, "updated_at": now}
    async with bench.services.database.write() as connection:
        await connection.execute(
            insert(posts).values(
                id=name, kind="ordinary", title="t", content={}, due_at=now, zone="UTC",
                late_policy="publish", version=1, created_by="test", **row,
            )
        )  # fmt: skip
        await connection.execute(
            insert(deliveries).values(
                id=name, post_id=name, account_id=bench.account_id, part="post",
                state="delivered", due_at=now, planned_at=now, finished_at=now, **row,
            )
        )  # fmt: skip
        await connection.execute(
            insert(recipients),
            [
                {"delivery_id": name, "contact_id": reader, "address": "a@x.org",
                 "state": "refused", "code": code, "updated_at": now}
                for reader, code in refused.items()
            ],
        )  # fmt: skip


async def test_a_mailbox_is_looked_at_before_its_account_is_stored(
    bench: Bench, tmp_path: Path
) -> None:
    async with practice() as (_, connected):
        relays = [one.model_dump() for one in connected.settings.relays]
        channel = bench.services.registry["newsletter"]

        async def admitted(**mailbox: Any) -> None:
            given = {**settings_for(bench.box, **mailbox), "relays": relays}
            await admit(channel, channel.settings_type.model_validate(given), "Letter")

        await admitted()
        for wrong, words in (
            ({"password": "wrong"}, "correct user and password"),
            ({"folder": "Nowhere"}, "correct the name of the folder"),
        ):
            with pytest.raises(RefusedError) as refused:
                await admitted(**wrong)
            assert refused.value.refusal is Refusal.INVALID
            assert words in refused.value.errors[0].remedy
        with pytest.raises(RefusedError) as away:
            await admitted(port=1)
        assert away.value.refusal is Refusal.UNAVAILABLE
    assert bench.box.seen == set()


async def test_a_renewed_refresh_token_is_stored_with_the_account(bench: Bench) -> None:
    member = (await bench.services.roster.everyone())[bench.account_id]
    mailbox: Any = member.account.settings
    box = mailbox.returns.model_copy(update={"password": SecretStr("other")})
    collector = collector_of(bench.services)
    await collector.keep(member, {"returns": box})
    async with bench.services.database.read() as connection:
        row = await accounts.get(connection, bench.account_id)
    assert row is not None
    assert "other" not in str(row["settings"])
    held = bench.services.vault.open(row["secrets"])
    assert "other" in str(held)
