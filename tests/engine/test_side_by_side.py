"""Mailings that have to wait, beside deliveries that do not."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from sqlalchemy import insert, select, update

from channels.sandbox.server import PracticeServer
from scheduler.mailing import mailing
from scheduler.settings import Settings
from scheduler.store import accounts, segments
from scheduler.store.audience_tables import contacts, lists, memberships, recipients
from scheduler.store.tables import accounts as account_table
from scheduler.web.api.accounts import set_paused, set_resumed
from scheduler.worker import Worker
from tests.engine.conftest import Engine, opened
from tests.support.relay import CountingRelay
from tests.web.support import put

SLOW = [f"r{number}@slow.example" for number in range(4)]
QUICK = [f"r{number}@example.org" for number in range(30)]
ONE_A_MINUTE = {"slow.example": 1}


class Mails:
    """An engine whose newsletters all use one relay, which counts."""

    def __init__(self, engine: Engine, relay: CountingRelay) -> None:
        self.engine, self.relay = engine, relay
        self.database = engine.services.database

    async def newsletter(
        self, name: str, readers: Sequence[str], *, per_minute: float | None = None, **more: Any
    ) -> None:
        """Connect one with these readers, under this name."""
        services = self.engine.services
        channel, now = services.registry["newsletter"], services.clock.micros()
        relay = {
            "host": "127.0.0.1", "port": self.relay.port, "tls": "none", "per_minute": per_minute,
        }  # fmt: skip
        said = {"from_address": "us@shop.example", "publisher": "Us", "relays": [relay], **more}
        settings = channel.settings_type.model_validate(said)
        async with self.database.write() as connection:
            id_ = await accounts.connect(
                connection, services.vault, channel=channel, name=name, settings=settings, now=now
            )
            await connection.execute(
                insert(lists).values(id=id_, name=name, language="en", created_at=now)
            )
            people = [
                {
                    "id": f"{name}-{number}", "email": email, "tags": [email.partition("@")[2]],
                    "attributes": {}, "created_at": now, "updated_at": now,
                }
                for number, email in enumerate(readers)
            ]  # fmt: skip
            await connection.execute(insert(contacts), people)
            await connection.execute(
                insert(memberships),
                [
                    {"list_id": id_, "contact_id": one["id"], "state": "subscribed", "since": now}
                    for one in people
                ],
            )
        self.engine.accounts[name] = id_  # type: ignore[index]

    async def segment(self, tag: str) -> str:
        async with self.database.write() as connection:
            return await segments.create(
                connection, {"name": tag, "filter": {"kind": "tag", "is": tag}}, now=1
            )

    async def waiting(self, name: str) -> int:
        """How many readers of a newsletter have not got their mail."""
        statement = select(recipients.c.contact_id).where(
            recipients.c.contact_id.startswith(f"{name}-"), recipients.c.state != "accepted"
        )
        async with self.database.read() as connection:
            return len((await connection.execute(statement)).all())

    @asynccontextmanager
    async def worker(self) -> AsyncIterator[None]:
        services = self.engine.services
        async with Worker(services, redis_url=None, broadcast=mailing(services)).running():
            yield


@asynccontextmanager
async def mails_of(settings: Settings, practice: PracticeServer) -> AsyncIterator[Mails]:
    relay = CountingRelay()
    await relay.start()
    try:
        async with opened(settings, practice, connected=()) as engine:
            yield Mails(engine, relay)
    finally:
        await relay.stop()


@pytest.fixture
async def mails(settings: Settings, practice: PracticeServer) -> AsyncIterator[Mails]:
    async with mails_of(settings, practice) as mails:
        yield mails


def _by_account(rows: Sequence[Any], mails: Mails) -> dict[str, str]:
    names = {id_: name for name, id_ in mails.engine.accounts.items()}
    return {names[row.account_id]: row.state for row in rows}


async def test_who_waits_for_a_domain_holds_up_neither_another_mailing_nor_the_blog(
    mails: Mails,
) -> None:
    await mails.newsletter("limited", [*SLOW, *QUICK], domain_limits=ONE_A_MINUTE)
    await mails.newsletter("free", [f"f{one}" for one in [*SLOW, *QUICK]])
    post = await mails.engine.post("limited", "free", "blog")
    async with mails.worker():
        rows = await mails.engine.settled(post, "sending", "delivered", "delivered")
        assert _by_account(rows, mails) == {
            "limited": "sending", "free": "delivered", "blog": "delivered",
        }  # fmt: skip
        await mails.relay.until(len(QUICK) + 1 + len(SLOW) + len(QUICK))
        later = await mails.engine.post("free", "blog", title="And one more thing")
        await mails.engine.settled(later, "delivered", "delivered")
        assert sum(mails.relay.received[who] for who in SLOW) == 1
        assert _by_account(await mails.engine.rows(post), mails)["limited"] == "sending"


async def test_a_relay_s_limit_holds_up_no_blog_and_nobody_with_a_relay_of_their_own(
    mails: Mails, practice: PracticeServer
) -> None:
    await mails.newsletter("limited", QUICK, per_minute=1)
    other = CountingRelay()
    await other.start()
    mails.relay, limited = other, mails.relay
    await mails.newsletter("free", [f"f{one}" for one in QUICK])
    post = await mails.engine.post("limited", "free", "blog")
    async with mails.worker():
        await mails.engine.settled(post, "sending", "delivered", "delivered")
        assert other.received.total() == len(QUICK)
        await limited.until(1)
        assert _by_account(await mails.engine.rows(post), mails)["limited"] == "sending"
    await other.stop()


async def test_mailings_that_only_wait_take_nobody_s_place(mails: Mails) -> None:
    await mails.newsletter("news", [*SLOW, *QUICK], domain_limits=ONE_A_MINUTE)
    async with mails.database.write() as connection:
        await connection.execute(update(account_table).values(max_concurrent=1))
    slow, quick = [await mails.segment(tag) for tag in ("slow.example", "example.org")]
    async with mails.worker():
        first = await mails.engine.post("news", to=slow)
        await mails.relay.until(1)
        second = await mails.engine.post("news", to=quick, title="For the others")
        await mails.engine.settled(second, "delivered")
        assert mails.relay.received.total() == 1 + len(QUICK)
        (waiting,) = await mails.engine.rows(first)
        assert waiting.state == "sending"


async def test_a_mailing_that_waits_for_its_relay_takes_nobody_s_place(mails: Mails) -> None:
    many = [f"m{number}@long.example" for number in range(500)]
    await mails.newsletter("news", [*many, "one@short.example"], per_minute=60)
    async with mails.database.write() as connection:
        await connection.execute(update(account_table).values(max_concurrent=1))
    long, short = [await mails.segment(tag) for tag in ("long.example", "short.example")]
    async with mails.worker():
        first = await mails.engine.post("news", to=long)
        await mails.relay.until(1)
        second = await mails.engine.post("news", to=short, title="For one alone")
        await mails.engine.settled(second, "delivered")
        (waiting,) = await mails.engine.rows(first)
        assert waiting.state == "sending"


async def test_two_mailings_share_a_relay_s_limit(mails: Mails) -> None:
    readers = QUICK[:12]
    await mails.newsletter("first", readers, per_minute=600)
    await mails.newsletter("second", [f"f{one}" for one in readers], per_minute=600)
    post = await mails.engine.post("first", "second")
    async with mails.worker():
        await mails.engine.settled(post, "delivered", "delivered")
    assert mails.relay.received.total() == 24
    assert set(mails.relay.received.values()) == {1}


async def test_a_mailing_that_a_stopping_worker_cuts_off_goes_on_elsewhere_at_once(
    settings: Settings, practice: PracticeServer
) -> None:
    hasty = settings.model_copy(update={"grace": 0.1, "lease": 600, "send_timeout": 100})
    async with mails_of(hasty, practice) as mails:
        await mails.newsletter("limited", [*SLOW, *QUICK], domain_limits=ONE_A_MINUTE)
        post = await mails.engine.post("limited")
        async with mails.worker():
            await mails.relay.until(len(QUICK) + 1)
            (first,) = await mails.engine.settled(post, "sending")
        assert [row.state for row in await mails.engine.rows(post)] == ["scheduled"]
        async with mails.worker():
            (second,) = await mails.engine.settled(post, "sending")
        assert second.worker != first.worker
        assert max(mails.relay.received.values()) == 1


@pytest.mark.parametrize("policy", ["drop", "ask"])
async def test_a_mailing_that_has_begun_is_not_late(
    settings: Settings, practice: PracticeServer, policy: str
) -> None:
    hasty = settings.model_copy(update={"grace": 0.1, "lease": 600, "send_timeout": 100})
    async with mails_of(hasty, practice) as mails:
        readers = QUICK  # ten seconds
        await mails.newsletter("news", readers, per_minute=180)
        post = await mails.engine.post("news", late_policy=policy)
        async with mails.worker():
            await mails.relay.until(3)
        begun = mails.relay.received.total()
        (row,) = await mails.engine.rows(post)
        assert (row.state, begun < len(readers)) == ("scheduled", True)
        an_hour_ago = row.planned_at - 3_600_000_000
        await put(mails.engine.services, row.id, planned_at=an_hour_ago, due_at=an_hour_ago)
        async with mails.worker():
            await mails.engine.settled(post, "delivered")
        assert mails.relay.received == dict.fromkeys(readers, 1)


async def test_a_mailing_whose_account_a_person_pauses_goes_on_when_they_resume_it(
    mails: Mails,
) -> None:
    readers = QUICK  # ten seconds
    await mails.newsletter("news", readers, per_minute=180)
    post = await mails.engine.post("news")
    services, news = mails.engine.services, mails.engine.accounts["news"]
    async with mails.worker():
        await mails.relay.until(3)
        await set_paused(services, news, None, "anne")
        (held,) = await mails.engine.settled(post, "held")
        assert held.hold_reason == "by-hand"
        assert mails.relay.received.total() < len(readers)
        async with mails.database.read() as connection:
            row = (await connection.execute(select(account_table))).mappings().all()
        (account,) = [one for one in row if one["id"] == news]
        assert (account["status"], account["pause_reason"]) == ("healthy", "by hand")
        await set_resumed(services, news, "anne")
        await mails.engine.settled(post, "delivered")
    assert mails.relay.received == dict.fromkeys(readers, 1)
