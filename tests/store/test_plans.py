"""No query that runs all the time, or that a page waits for, reads a large table whole."""

from __future__ import annotations

import re
from functools import partial

import pytest
from sqlalchemy import insert

from scheduler.deliveries import State
from scheduler.store import claims, turns
from scheduler.store.choosing import choose
from scheduler.store.claims import depth
from scheduler.store.db import Database
from scheduler.store.recipients import tally, touch
from scheduler.store.tables import accounts, deliveries, posts
from tests.bench import hot
from tests.support.audience import ACCOUNT, DELIVERY, seed

NOW = 1_800_000_000_000_000
SECOND = 1_000_000
# What walks the posts in due order until a page is full.
WALKS: set[str] = set()


@pytest.fixture
async def filled(database: Database) -> Database:
    """One account with a few deliveries in every state."""
    every = [(state, number) for number in range(20) for state in State]
    async with database.write() as connection:
        await connection.execute(
            insert(accounts).values(
                id="a", adapter="blog", channel="blog", name="Blog", settings={}, status="healthy",
                status_since=NOW, created_at=NOW, updated_at=NOW,
            )
        )  # fmt: skip
        await connection.execute(
            insert(posts),
            [
                {
                    "id": f"{state}-{number}", "kind": "essential", "title": "t", "content": {},
                    "due_at": NOW + number, "zone": "UTC", "late_policy": "publish", "version": 1,
                    "created_by": "t", "created_at": NOW, "updated_at": NOW,
                }
                for state, number in every
            ],
        )  # fmt: skip
        await connection.execute(
            insert(deliveries),
            [
                {
                    "id": f"{state}-{number}", "post_id": f"{state}-{number}", "account_id": "a",
                    "part": "post", "state": state, "due_at": NOW + number, "planned_at": NOW,
                    "lease_until": NOW, "look_at": NOW, "created_at": NOW, "updated_at": NOW,
                    "worker": "w", "token": "t",
                }
                for state, number in every
            ],
        )  # fmt: skip
    return database


async def test_no_hot_query_reads_a_whole_table(filled: Database) -> None:
    found = {}
    for name, query in hot.hot(filled, "a", NOW).items():
        if name not in WALKS:
            found[name] = hot.scanned(await hot.plan(filled, query, indexes_only=True))
    assert {name: tables for name, tables in found.items() if tables} == {}


async def test_a_claim_finds_its_rows_by_the_small_index(filled: Database) -> None:
    async def claim() -> object:
        return await claims.claim_due(
            filled, horizon=NOW, worker="w", token="t", lease_until=NOW, now=NOW, limit=5
        )

    words = await hot.plan(filled, claim, indexes_only=True)
    assert "ix_deliveries_due" in words
    assert hot.scanned(words) == []


async def test_the_queue_is_counted_by_state(filled: Database) -> None:
    wanted = ("scheduled", "armed", "sending", "accepted", "unconfirmed", "held")
    assert await depth(filled) == dict.fromkeys(wanted, 20)


async def test_an_empty_queue_is_told_as_such(database: Database) -> None:
    assert set((await depth(database)).values()) == {0}
    assert "held" in await depth(database)


async def test_a_broadcast_finds_its_people_by_their_ids(database: Database) -> None:
    """By an index of their state it would walk everyone who waits, once a chunk."""
    await seed(database, [{"id": f"c{n}", "email": f"c{n}@example.org"} for n in range(20)], now=1)

    async def choose_a_stretch(at_once: int) -> None:
        async with database.write() as connection:
            await choose(
                database, connection, delivery_id=DELIVERY, account_id=ACCOUNT, by_email=True,
                now=1, at_once=at_once,
            )  # fmt: skip

    async def claim() -> None:
        async with database.write() as connection:
            found = await turns.claim(
                database, connection, delivery_id=DELIVERY, token="t", list_id=ACCOUNT, now=2,
                limit=5,
            )  # fmt: skip
        assert len(found) == 5

    async def go_on() -> None:
        async with database.write() as connection:
            taken = {"2.0.0": ["c0", "c1"]}
            await turns.accept(
                database, connection, delivery_id=DELIVERY, token="t", taken=taken, now=3
            )
            await turns.subscribed(database, connection, ["c2", "c3"], ACCOUNT)
        await touch(database, DELIVERY, now=4)

    async def count() -> None:
        async with database.read() as connection:
            assert await tally(connection, DELIVERY) == {"pending": 15, "sending": 3, "accepted": 2}

    first = await hot.plan(database, partial(choose_a_stretch, 10), indexes_only=True)
    last = await hot.plan(database, partial(choose_a_stretch, 100), indexes_only=True)
    claimed = await hot.plan(database, claim, indexes_only=True)
    afterwards = await hot.plan(database, go_on, indexes_only=True)
    counted = await hot.plan(database, count, indexes_only=True)
    assert "ix_memberships_state" not in first + last + claimed + afterwards
    assert claimed.count("ix_recipients_todo") == 1  # who is due
    assert "ix_recipients_todo" not in afterwards
    assert re.search("COVERING INDEX ix_recipients_todo|Index Only Scan", counted)
    assert hot.scanned(claimed + afterwards + counted) == []
