"""Who cannot be written to on Messenger is written to by mail: with consent, and once."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from aiohttp.test_utils import TestClient
from sqlalchemy import insert, select, update

from channels.posts import Part
from channels.sandbox.server import PracticeServer
from scheduler.broadcast import broadcaster
from scheduler.decide import SECOND
from scheduler.deliveries import Delivery, State
from scheduler.forsaken import forsaken_of
from scheduler.mailing import mailing
from scheduler.settings import Settings
from scheduler.stand_in import WAITS, StandIns
from scheduler.store import reroutes
from scheduler.store.accounts import connect
from scheduler.store.audience_tables import (
    addresses,
    contacts,
    letters,
    lists,
    memberships,
    recipients,
)
from scheduler.store.claims import to_delivery
from scheduler.store.tables import deliveries, events
from scheduler.worker import Worker
from tests.engine.conftest import Engine, opened

# What the practice Messenger knows: Emma's window is closed there, whatever we believe.
AWA, EMMA, CHLOE, DRISS = (f"730194628551000{number}" for number in (1, 5, 3, 4))
NOBODY = "7301946285519999"

# name -> (Messenger id, our window is open, address, subscribed)
PEOPLE = {
    "awa": (AWA, True, "awa@example.org", True),
    "emma": (EMMA, True, "emma@example.org", True),
    "gone": (NOBODY, True, "gone@example.org", True),
    "chloe": (CHLOE, False, None, False),
    "driss": (DRISS, False, "driss@example.org", False),
}


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Where it is six in the morning: the hour of the day's digest is far away."""
    ahead = (6 - datetime.now(UTC).hour + 12) % 24 - 12
    return settings.model_copy(update={"zone": f"Etc/GMT{-ahead:+d}"})


class Readers:
    """An engine with a Messenger page, a newsletter, and the five of `PEOPLE`."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.database = engine.services.database
        self.messenger = engine.accounts["messenger"]
        self.newsletter = engine.accounts["newsletter"]

    async def come(self) -> None:
        now = self.engine.services.clock.micros()
        row = {"created_at": now, "updated_at": now, "attributes": {}, "tags": []}
        async with self.database.write() as connection:
            await connection.execute(
                insert(lists).values(id=self.newsletter, name="l", language="en", created_at=now)
            )
            for name, (psid, is_open, email, subscribed) in PEOPLE.items():
                await connection.execute(insert(contacts).values(id=name, email=email, **row))
                until = now + 10**10 if is_open else now - 1
                await connection.execute(
                    insert(addresses).values(
                        id=name, contact_id=name, channel="messenger", account_id=self.messenger,
                        address=psid, writable_until=until, created_at=now,
                    )
                )  # fmt: skip
                state = "subscribed" if subscribed else "unsubscribed"
                await connection.execute(
                    insert(memberships).values(
                        list_id=self.newsletter, contact_id=name, state=state, since=now
                    )
                )

    @asynccontextmanager
    async def worker(self) -> AsyncIterator[None]:
        services = self.engine.services
        async with Worker(services, redis_url=None, broadcast=mailing(services)).running():
            yield

    async def fates(self, delivery_id: str) -> dict[str, str]:
        statement = select(recipients.c.contact_id, recipients.c.state).where(
            recipients.c.delivery_id == delivery_id
        )
        async with self.database.read() as connection:
            return {row[0]: row[1] for row in await connection.execute(statement)}

    @property
    def mails(self) -> Counter[str]:
        entries = self.engine.practice.ledger.entries("newsletter")
        return Counter(str(entry.payload["recipient"]) for entry in entries)


@pytest.fixture
async def readers(settings: Settings, practice: PracticeServer) -> AsyncIterator[Readers]:
    async with opened(settings, practice, connected={"messenger", "newsletter"}) as engine:
        readers = Readers(engine)
        await readers.come()
        yield readers


@pytest.fixture
def engine(readers: Readers) -> Engine:
    return readers.engine


async def test_who_messenger_cannot_reach_gets_one_mail_if_she_agreed_to_it(
    readers: Readers, api: TestClient[Any, Any]
) -> None:
    async with readers.database.write() as connection:
        await connection.execute(update(lists).values(archive=True))
    async with readers.worker():
        post = await readers.engine.post("messenger")
        rows = await readers.engine.settled(post, "delivered", "delivered")
    first, stand_in = rows
    assert (stand_in.part, stand_in.account_id) == ("stand-in", readers.newsletter)
    assert (stand_in.parent_id, stand_in.origin_id) == (first.id, first.id)
    assert await readers.fates(first.id) == {
        "awa": "accepted",
        "emma": "rerouted",
        "gone": "rerouted",
        "chloe": "unreached",
        "driss": "unreached",
    }
    assert readers.mails == Counter(["emma@example.org", "gone@example.org"])
    mail = readers.engine.practice.ledger.entries("newsletter")[0]
    assert "Our Messenger inbox does not let us write to you today" in mail.text

    async with api.get(f"/api/v1/deliveries/{first.id}") as answer:
        told = await answer.json()
    assert told["state"] == "delivered"
    assert told["recipients"] == {"accepted": 1, "rerouted": 2, "unreached": 2}
    async with api.get(f"/api/v1/deliveries/{first.id}/mailing") as answer:
        figures = await answer.json()
    named = ("accepted", "refused", "suppressed", "uncertain", "waiting", "unreached", "rerouted")
    assert figures["selected"] == sum(figures[name] for name in named) + figures["covered"] == 5
    async with readers.database.read() as connection:
        assert (await connection.execute(select(letters.c.slug))).all() == []
        kinds = (await connection.execute(select(events.c.kind))).scalars().all()
    assert kinds.count("recipients.unreached") == 1
    unreached = "recipients.unreached"
    (alert,) = [one for one in await readers.engine.alerts() if one.kind == unreached]
    assert "2 have no other address that they agreed to" in alert.data["cause"]


async def test_whom_messenger_does_not_know_is_reached_by_mail_the_next_time_too(
    readers: Readers,
) -> None:
    async with readers.worker():
        for title in ("First", "Second"):
            post = await readers.engine.post("messenger", title=title)
            first, _ = await readers.engine.settled(post, "delivered", "delivered")
            assert (await readers.fates(first.id))["gone"] == "rerouted"
    assert readers.mails["gone@example.org"] == 2


async def test_who_gets_the_newsletter_anyway_is_noted_and_not_doubled(readers: Readers) -> None:
    async with readers.worker():
        post = await readers.engine.post("messenger", "newsletter")
        rows = await readers.engine.settled(post, "delivered", "delivered")
    (first,) = [row for row in rows if row.account_id == readers.messenger]
    fates = await readers.fates(first.id)
    assert (fates["emma"], fates["gone"], fates["driss"]) == ("covered", "covered", "unreached")
    assert readers.mails == Counter(f"{name}@example.org" for name in ("awa", "emma", "gone"))


async def test_a_newsletter_that_takes_the_post_later_leaves_them_out(readers: Readers) -> None:
    async with readers.worker():
        post = await readers.engine.post("messenger")
        first, _ = await readers.engine.settled(post, "delivered", "delivered")
        async with readers.database.write() as connection:
            parent = await reroutes.delivery(connection, first.id)
            assert parent is not None
            now = readers.engine.services.clock.micros()
            await reroutes.add_child(connection, parent, readers.newsletter, now=now, cause="t")
        await readers.engine.settled(post, "delivered", "delivered", "delivered")
    assert readers.mails == Counter(f"{name}@example.org" for name in ("awa", "emma", "gone"))


async def test_readers_of_another_page_that_ends_later_are_reached_too(readers: Readers) -> None:
    """Who reads both pages gets no second mail."""
    second = await _another_page(readers)
    post = await readers.engine.post("messenger")
    (row,) = await readers.engine.rows(post)
    # Later than the first page's readers are all done: its stand-in has to wait for it.
    later = await _also_by(readers, post, second, ahead=3 * SECOND)
    async with readers.worker():
        await readers.engine.settled(post, *["delivered"] * 3)
    fates = await readers.fates(later)
    assert fates["zoe"] == "rerouted"
    # Whichever page ends first, one of them hands her over and the other knows it.
    assert {fates["emma"], (await readers.fates(row.id))["emma"]} == {"rerouted", "covered"}
    assert readers.mails == Counter(f"{name}@example.org" for name in ("emma", "gone", "zoe"))


async def test_a_stand_in_waits_for_a_page_that_has_yet_to_hand_over_its_readers(
    readers: Readers, monkeypatch: pytest.MonkeyPatch
) -> None:
    post = await readers.engine.post("messenger")
    later = await _also_by(readers, post, await _another_page(readers))
    place, knows_its_readers, may_go_on = StandIns.place, asyncio.Event(), asyncio.Event()

    async def in_turn(self: StandIns, delivery: Delivery, token: str) -> Any:
        if delivery.id == later:
            knows_its_readers.set()
            await may_go_on.wait()
        else:
            await knows_its_readers.wait()
        return await place(self, delivery, token)

    def goes_or_waits(rows: Sequence[Any]) -> bool:
        return any(row.cause == WAITS or row.state == "delivered" for row in rows[2:])

    monkeypatch.setattr(StandIns, "place", in_turn)
    async with readers.worker():
        await readers.engine.until(post, goes_or_waits)
        may_go_on.set()
        await readers.engine.settled(post, *["delivered"] * 3)
    assert (await readers.fates(later))["zoe"] == "rerouted"
    assert readers.mails == Counter(f"{name}@example.org" for name in ("emma", "gone", "zoe"))


async def test_nobody_waits_any_longer_for_a_page_that_reached_all_of_its_readers(
    readers: Readers,
) -> None:
    post = await readers.engine.post("messenger")
    second = await _another_page(readers, {"zoe": CHLOE})
    later = await _also_by(readers, post, second, ahead=3 * SECOND)
    async with readers.worker():
        await readers.engine.settled(post, *["delivered"] * 3)
    assert await readers.fates(later) == {"zoe": "accepted"}
    assert readers.mails == Counter(f"{name}@example.org" for name in ("emma", "gone"))


async def _also_by(readers: Readers, post: str, account: str, *, ahead: int = 0) -> str:
    """The post's delivery by this account too, so many microseconds from now."""
    (row,) = await readers.engine.rows(post)
    now = readers.engine.services.clock.micros()
    async with readers.database.write() as connection:
        parent = await reroutes.delivery(connection, row.id)
        assert parent is not None
        return await reroutes.add_child(
            connection, parent, account, now=now, cause="t", due_at=now + ahead
        )


async def _another_page(readers: Readers, reached: Mapping[str, str] | None = None) -> str:
    """A second page. Zoe reads it alone, and Emma, who reads both; neither can be written to there,
    unless only those whose Messenger id is given read it."""
    services = readers.engine.services
    (page,) = [one for one in readers.engine.practice.accounts() if one.adapter == "messenger"]
    channel = services.registry["messenger"]
    now = services.clock.micros()
    async with readers.database.write() as connection:
        second = await connect(
            connection, services.vault, channel=channel, name="The other page", now=now,
            settings=channel.settings_type.model_validate(dict(page.settings)),
        )  # fmt: skip
        row = {"created_at": now, "updated_at": now, "attributes": {}, "tags": []}
        await connection.execute(insert(contacts).values(id="zoe", email="zoe@example.org", **row))
        await connection.execute(
            insert(memberships).values(
                list_id=readers.newsletter, contact_id="zoe", state="subscribed", since=now
            )
        )
        until = now - 1 if reached is None else now + 10**10
        for name, psid in (reached or {"zoe": "5500000000003", "emma": "5500000000004"}).items():
            await connection.execute(
                insert(addresses).values(
                    id=f"{name}-2", contact_id=name, channel="messenger", account_id=second,
                    address=psid, writable_until=until, created_at=now,
                )
            )  # fmt: skip
    return second


async def test_promotion_is_counted_and_not_taken_elsewhere(readers: Readers) -> None:
    async with readers.worker():
        post = await readers.engine.post("messenger", kind="promotional")
        (row,) = await readers.engine.settled(post, "delivered")
    assert Counter((await readers.fates(row.id)).values()) == {"accepted": 1, "unreached": 4}
    assert readers.mails == Counter()


async def test_what_can_wait_goes_at_the_hour_of_the_digest(readers: Readers) -> None:
    async with readers.worker():
        post = await readers.engine.post("messenger", kind="ordinary", deadline=None)
        rows = await readers.engine.settled(post, "delivered", "scheduled")
    assert rows[1].due_at % (3600 * 1_000_000) == 0
    assert readers.mails == Counter()


async def test_who_waited_for_a_stand_in_that_is_cancelled_is_told_apart_and_the_person_told(
    readers: Readers,
) -> None:
    services = readers.engine.services
    async with readers.worker():
        post = await readers.engine.post("messenger", kind="ordinary", deadline=None)
        first, stand_in = await readers.engine.settled(post, "delivered", "scheduled")
    round_of = forsaken_of(services).round
    assert await round_of() == 0
    await services.desk.cancel(stand_in.id, "user:ann")
    assert await round_of() == 2
    assert await round_of() == 0
    fates = await readers.fates(stand_in.id)
    assert set(fates.values()) == {"suppressed"}
    assert {
        name for name, fate in (await readers.fates(first.id)).items() if fate == "unreached"
    } == {"emma", "gone", "chloe", "driss"}
    async with readers.database.read() as connection:
        codes = select(recipients.c.code).where(recipients.c.delivery_id == stand_in.id)
        assert set((await connection.execute(codes)).scalars()) == {"cancelled"}
        kinds = (await connection.execute(select(events.c.kind))).scalars().all()
    assert kinds.count("recipients.cancelled") == 1
    told = [one for one in await readers.engine.alerts() if one.kind == "recipients.cancelled"]
    assert [one.data["count"] for one in told] == [2]


async def test_two_runs_that_end_at_once_hand_over_once(readers: Readers) -> None:
    post = await readers.engine.post("messenger")
    async with readers.database.write() as connection:
        await connection.execute(
            update(deliveries)
            .where(deliveries.c.post_id == post)
            .values(token="t", state="sending")
        )
        row = {"tries": 0, "next_at": 0, "updated_at": 0, "code": "", "detail": "", "address": "x"}
        (leg,) = (
            (await connection.execute(select(deliveries).where(deliveries.c.post_id == post)))
            .mappings()
            .all()
        )
        await connection.execute(
            insert(recipients),
            [
                {"delivery_id": leg["id"], "contact_id": name, "state": "unreached", **row}
                for name in PEOPLE
            ],
        )
    desk = broadcaster(readers.engine.services).stand_ins
    assert desk is not None
    delivery = to_delivery(leg)
    counts = await asyncio.gather(*(desk.place(delivery, "t") for _ in range(4)))
    assert all(one == {"rerouted": 3, "unreached": 2} for one in counts)
    assert await desk.place(delivery, "somebody else's") is None
    legs = await readers.engine.rows(post)
    assert [(one.part, one.state) for one in legs[1:]] == [(Part.STAND_IN, State.SCHEDULED)]


async def test_nobody_reached_by_any_road_is_no_success(readers: Readers) -> None:
    async with readers.database.write() as connection:
        await connection.execute(update(addresses).values(writable_until=1))
        await connection.execute(update(memberships).values(state="unsubscribed"))
    async with readers.worker():
        post = await readers.engine.post("messenger")
        rows = await readers.engine.until(
            post, lambda rows: rows[0].state in {"rerouted", "failed", "held"}
        )
    assert "5 unreached" in rows[0].cause
