"""Limits and patience in bulk: a relay that pipelines, both databases, several runs."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import pytest
from sqlalchemy import event, select, update

from channels.base import Account
from channels.outcome import Delivered, Outcome
from channels.streams import Rates
from scheduler.broadcast import Broadcaster
from scheduler.clock import Clock
from scheduler.deliveries import Delivery
from scheduler.gate import Gate
from scheduler.lanes import Lane, domain_of, turn_at
from scheduler.store.audience_tables import lanes, recipients
from scheduler.store.db import Database
from scheduler.store.recipients import Claimed
from scheduler.verdicts import Pace
from tests.channels.newsletter.support import adapter, post, settings
from tests.support.audience import ACCOUNT, seed, states, take_over
from tests.support.relay import CountingRelay

SOON = Pace(connections=3, chunk=7, flush_us=1000, defer_us=1000, defer_cap_us=5000)
SECOND = 1_000_000
NOW = 1_800_000_000 * SECOND


class Bench:
    """One newsletter, a relay that pipelines, and its store."""

    def __init__(self, database: Database, relay: CountingRelay, logbooks: Path) -> None:
        self.database, self.relay, self.logbooks = database, relay, logbooks
        self.runs = 0

    async def seed(self, *emails: str) -> Delivery:
        readers = [{"id": f"c{number}", "email": email} for number, email in enumerate(emails)]
        return await seed(self.database, readers, now=Clock().micros())

    async def run(self, delivery: Delivery, pace: Pace = SOON, **changes: Any) -> Outcome:
        """A run of its own, as after a restart: it shares nothing with another but the store."""
        self.runs += 1
        token = f"run-{self.runs}"
        await take_over(self.database, token)
        relay = {"host": "127.0.0.1", "port": self.relay.port, "tls": "none"}
        relay |= changes.pop("relay", {})
        account: Account[Any] = Account(
            id=ACCOUNT, name="n", settings=settings(relays=[relay], **changes)
        )
        desk = Broadcaster(
            database=self.database,
            clock=Clock(),
            logbooks=self.logbooks,
            key=b"k",
            link=lambda contact, account: f"https://example.org/u/{account}/{contact}",
            pace=pace,
            rng=Random(1),
        )
        message = adapter().render(post(), account)
        return await desk.run(replace(delivery, token=token), message, account, adapter())

    async def run_until(
        self, accepted: int, delivery: Delivery, *, tried: int = 0, **options: Any
    ) -> None:
        """Stop a run as a restart does, once so many mails are accepted in the books, and so many
        others were refused for now."""
        running = asyncio.create_task(self.run(delivery, **options))
        while (
            Counter((await states(self.database)).values())["accepted"] < accepted
            or await _tried(self) < tried
        ):
            assert not running.done(), running.result()
            await asyncio.sleep(0.01)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    async def lane(self, lane_id: str) -> Any:
        async with self.database.read() as connection:
            statement = select(lanes).where(lanes.c.id == lane_id)
            return (await connection.execute(statement)).one()


@pytest.fixture
async def bench(database: Database, tmp_path: Path) -> AsyncIterator[Bench]:
    relay = CountingRelay()
    await relay.start()
    yield Bench(database, relay, tmp_path / "logbooks")
    await relay.stop()


def _at(domain: str, count: int) -> list[str]:
    return [f"r{number}@{domain}" for number in range(count)]


async def test_everyone_gets_one_mail_one_behind_the_other(bench: Bench) -> None:
    outcome = await bench.run(await bench.seed(*_at("example.org", 60)))
    assert isinstance(outcome, Delivered)
    assert outcome.note == "60 selected: 60 accepted"
    assert bench.relay.received == Counter(_at("example.org", 60))
    assert list(bench.logbooks.iterdir()) == []


async def test_refusals_for_now_at_random_end_with_everyone_accepted(bench: Bench) -> None:
    bench.relay.refuse = 0.3
    outcome = await bench.run(await bench.seed(*_at("example.org", 60)))
    assert isinstance(outcome, Delivered)
    assert bench.relay.received == Counter(_at("example.org", 60))


async def test_a_domain_with_a_limit_waits_alone_and_a_restart_grants_it_nothing(
    bench: Bench,
) -> None:
    delivery = await bench.seed(*_at("slow.example", 5), *_at("example.org", 30))
    limits = {"slow.example": 1}
    await bench.run_until(31, delivery, domain_limits=limits)
    assert sum(bench.relay.received[who] for who in _at("slow.example", 5)) == 1
    await bench.run_until(31, delivery, domain_limits=limits)
    assert sum(bench.relay.received[who] for who in _at("slow.example", 5)) == 1
    assert all(bench.relay.received[who] == 1 for who in _at("example.org", 30))
    async with bench.database.read() as connection:
        statement = select(recipients.c.next_at).where(recipients.c.state != "accepted")
        turns = sorted((await connection.execute(statement)).scalars())
    assert len(turns) == 4
    assert all(later - sooner > 50 * SECOND for sooner, later in pairwise(turns))


async def test_a_relay_with_a_limit_lets_no_more_by_after_a_restart(bench: Bench) -> None:
    delivery = await bench.seed(*_at("example.org", 5))
    await bench.run_until(1, delivery, relay={"per_minute": 1})
    await bench.run_until(1, delivery, relay={"per_minute": 1})
    assert bench.relay.received.total() == 1
    assert isinstance(await bench.run(delivery), Delivered)
    assert bench.relay.received == Counter(_at("example.org", 5))


async def test_who_waits_for_the_relay_leaves_the_database_to_others(bench: Bench) -> None:
    delivery = await bench.seed(*_at("example.org", 5))
    slowly = replace(SOON, connections=1, flush_us=3600 * SECOND)
    running = asyncio.create_task(bench.run(delivery, pace=slowly, relay={"per_minute": 1}))
    await bench.relay.until(1)
    said: list[str] = []
    event.listen(
        bench.database._writing.sync_engine,
        "before_cursor_execute",
        lambda _connection, _cursor, statement, *_: said.append(statement),
    )
    for _ in range(50):
        await states(bench.database)
    assert len([one for one in said if "lanes" in one]) <= 3  # one look may have been under way
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_a_domain_that_is_closed_and_a_relay_s_limit_make_no_deadlock(
    bench: Bench,
) -> None:
    rates = Rates(roads={"relay": 60_000}, domains={"slow.example": 60_000})
    gates = [Gate(bench.database, rates, SOON, Random(1)) for _ in range(2)]
    reader = Claimed("c", "r@slow.example", 0)

    async def turn(gate: Gate) -> None:
        now = Clock().micros()
        gate.refused_for_now(reader.address, now, road=gate.road, slow=True)
        async with bench.database.write() as connection:
            if gate is gates[0]:
                await gate.write_down(connection)
            await gate.width(connection, 1, now)
            await gate.sort(connection, [reader], now)

    for _ in range(20):
        await asyncio.gather(*map(turn, gates))


async def test_a_domain_that_wants_it_slower_is_closed_and_the_others_go_on(bench: Bench) -> None:
    bench.relay.slow = {"slow.example"}
    delivery = await bench.seed(*_at("slow.example", 20), *_at("example.org", 30))
    patient = replace(SOON, connections=1, defer_us=3600 * SECOND, defer_cap_us=7200 * SECOND)
    await bench.run_until(30, delivery, pace=patient)
    assert bench.relay.received == Counter(_at("example.org", 30))
    lane = await bench.lane(f"to slow.example by 127.0.0.1:{bench.relay.port}")
    assert lane.strikes == 1
    assert lane.closed_until > Clock().micros()
    tried = await _tried(bench)
    assert 0 < tried < 20
    await bench.run_until(30, delivery, pace=patient)  # a restart does not ask again
    assert await _tried(bench) == tried


async def test_a_domain_closed_for_one_relay_is_open_for_another(bench: Bench) -> None:
    bench.relay.slow = {"slow.example"}
    delivery = await bench.seed(*_at("slow.example", 20), *_at("example.org", 5))
    patient = replace(SOON, connections=1, defer_us=3600 * SECOND, defer_cap_us=7200 * SECOND)
    await bench.run_until(5, delivery, pace=patient)
    tried = await _tried(bench)

    async def all_due() -> None:
        async with bench.database.write() as connection:
            await connection.execute(update(recipients).values(next_at=0))

    await all_due()
    running = asyncio.create_task(bench.run(delivery, pace=patient))
    while await _due(bench):
        assert not running.done(), running.result()
        await asyncio.sleep(0.01)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert await _tried(bench) == tried  # the same relay asks nobody there
    await all_due()
    other = CountingRelay()
    await other.start()
    try:
        async with asyncio.timeout(60):
            outcome = await bench.run(delivery, pace=patient, relay={"port": other.port})
    finally:
        await other.stop()
    assert isinstance(outcome, Delivered)
    assert other.received == Counter(_at("slow.example", 20))


async def test_mailings_that_share_a_relay_go_by_turns(database: Database) -> None:
    """The long one asks right before the short one, each time."""
    rates = Rates(roads={"relay": 600})  # a slot each tenth of a second
    pace = replace(SOON, flush_us=SECOND // 10)
    long, short = (Gate(database, rates, pace, Random(1)) for _ in range(2))
    passed = {long: 0, short: 0}

    async def ask(gate: Gate, now: int) -> None:
        if now < gate.opens_at:
            return
        async with database.write() as connection:
            count = await gate.width(connection, 500, now)
            if count:
                await gate.passed(connection, count, now)
        passed[gate] += count

    for tick in range(10):
        await ask(long, NOW + tick * SECOND // 10)
    alone = passed[long]
    assert alone >= 20  # a second's worth at once, then its rate
    for tick in range(10, 110):
        now = NOW + tick * SECOND // 10
        await ask(long, now)
        await ask(short, now)
    assert passed[long] - alone + passed[short] in range(97, 103)  # ten seconds, ten a second
    assert abs(passed[long] - alone - passed[short]) <= 2


async def test_a_turn_that_nobody_takes_is_given_back(database: Database) -> None:
    rates = Rates(roads={"relay": 600})
    gate = Gate(database, rates, replace(SOON, flush_us=SECOND), Random(1))
    async with database.write() as connection:
        await gate.passed(connection, await gate.width(connection, 500, NOW), NOW)
        assert await gate.width(connection, 500, NOW) == 0
        at = gate.opens_at
        assert await gate.width(connection, 500, at - 1) == 0
        assert await gate.width(connection, 500, at) == 10
        await gate.passed(connection, 3, at)  # nobody else was due
        assert await gate.width(connection, 500, at) == 0
    assert gate.opens_at == at + 3 * SECOND // 10


async def test_who_closed_a_domain_comes_after_the_others_there(bench: Bench) -> None:
    domains = [f"slow{number}.example" for number in range(8)]
    bench.relay.slow = set(domains)
    delivery = await bench.seed(*(who for each in domains for who in _at(each, 2)), "r@example.org")
    patient = replace(SOON, connections=1, defer_us=3600 * SECOND, defer_cap_us=7200 * SECOND)
    await bench.run_until(1, delivery, tried=8, pace=patient)
    async with bench.database.read() as connection:
        rows = (await connection.execute(select(recipients))).all()
    waiting = {row.contact_id: row for row in rows if row.state == "pending"}
    assert len(waiting) == 16
    for first in range(0, 16, 2):
        both = waiting[f"c{first}"], waiting[f"c{first + 1}"]
        spared, asked = sorted(both, key=lambda row: int(row.tries))
        assert (asked.tries, spared.tries) == (1, 0)
        assert asked.next_at > spared.next_at


async def test_a_closed_domain_opens_by_itself(bench: Bench) -> None:
    bench.relay.slow = {"slow.example"}
    delivery = await bench.seed(*_at("slow.example", 20), *_at("example.org", 10))
    running = asyncio.create_task(bench.run(delivery))
    while bench.relay.received.total() < 10:  # noqa: ASYNC110 -- mails make no event
        await asyncio.sleep(0.01)
    bench.relay.slow.clear()
    assert isinstance(await running, Delivered)
    assert bench.relay.received == Counter(_at("slow.example", 20) + _at("example.org", 10))


async def _due(bench: Bench) -> int:
    async with bench.database.read() as connection:
        statement = select(recipients.c.contact_id).where(
            recipients.c.state == "pending", recipients.c.next_at == 0
        )
        return len((await connection.execute(statement)).all())


async def _tried(bench: Bench) -> int:
    async with bench.database.read() as connection:
        statement = select(recipients.c.tries).where(recipients.c.state == "pending")
        return sum((await connection.execute(statement)).scalars())


def test_a_lane_grants_a_second_at_once_and_then_its_rate() -> None:
    lane = Lane("by relay")
    assert lane.free(NOW, 600) == 11
    lane.take(NOW, 600, 11)
    assert lane.free(NOW, 600) == 0
    assert lane.free(NOW + SECOND // 10, 600) == 1
    assert turn_at(lane, NOW, 600, before=9) == lane.next_at + SECOND


def test_the_domain_is_what_follows_the_last_at() -> None:
    assert domain_of("a@b@Example.ORG") == "example.org"
    assert domain_of("psid-17") == ""
