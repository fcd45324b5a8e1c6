"""No query that runs all the time, or that a page waits for, reads a large table whole."""

from __future__ import annotations

import re
from functools import partial
from random import Random

import pytest
from sqlalchemy import insert

from channels.streams import Rates
from scheduler.clerk import Clerk
from scheduler.clock import Clock
from scheduler.deliveries import State
from scheduler.gate import Gate
from scheduler.selection import choose_all
from scheduler.store import claims, turns
from scheduler.store.choosing import choose
from scheduler.store.claims import depth, planned
from scheduler.store.db import Database
from scheduler.store.ready import Ready
from scheduler.store.recipients import tally
from scheduler.store.tables import accounts, deliveries, posts
from scheduler.verdicts import Pace
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


async def test_what_ended_lately_is_not_looked_for_in_all_of_history(filled: Database) -> None:
    queries = hot.hot(filled, "a", NOW)
    for name in ("forsaken", "moved since", "left behind", "rerouted since"):
        words = await hot.plan(filled, queries[name], indexes_only=True)
        assert "ix_deliveries_ended" in words
        assert "ix_deliveries_account" not in words


async def test_what_is_open_is_not_looked_for_in_all_alerts(filled: Database) -> None:
    queries = hot.hot(filled, "a", NOW)
    for name, indexes in {
        "alerts": ["ix_alerts_open"], "untold alerts": ["ix_alerts_open", "ix_alerts_news"],
    }.items():  # fmt: skip
        words = await hot.plan(filled, queries[name], indexes_only=True)
        assert all(index in words for index in indexes)
        assert "ix_alerts_created" not in words


async def test_a_claim_finds_its_rows_by_the_small_index(filled: Database) -> None:
    async def claim() -> object:
        return await claims.claim_due(
            filled, horizon=NOW, worker="w", token="t", lease_until=NOW, now=NOW, limit=5
        )

    words = await hot.plan(filled, claim, indexes_only=True)
    assert "ix_deliveries_due" in words
    assert hot.scanned(words) == []


async def test_the_queue_is_counted_by_state(filled: Database) -> None:
    wanted = ("armed", "sending", "accepted", "unconfirmed", "held")
    assert await depth(filled) == dict.fromkeys(wanted, 20)
    assert await planned(filled) == 20


async def test_all_counts_read_small_indexes(filled: Database) -> None:
    for count in (depth, planned):
        words = await hot.plan(filled, partial(count, filled), indexes_only=True)
        assert hot.scanned(words) == []


async def test_an_empty_queue_is_told_as_such(database: Database) -> None:
    assert set((await depth(database)).values()) == {0}
    assert "held" in await depth(database)
    assert await planned(database) == 0


async def test_a_broadcast_finds_its_people_by_their_ids(database: Database) -> None:
    """By an index of their state it would walk everyone who waits, once a chunk."""
    people = [{"id": f"c{n}", "email": f"c{n}@example.org"} for n in range(20)]
    await seed(database, people, now=1)

    async def choose_a_stretch(at_once: int) -> None:
        async with database.write() as connection:
            await choose(
                database, connection, delivery_id=DELIVERY, account_id=ACCOUNT, by_email=True,
                now=1, at_once=at_once,
            )  # fmt: skip

    async def count() -> None:
        async with database.read() as connection:
            assert await tally(connection, DELIVERY) == {"pending": 20}

    for at_once in (10, 100):
        chosen = await hot.plan(database, partial(choose_a_stretch, at_once), indexes_only=True)
        assert "ix_memberships_state" not in chosen
    counted = await hot.plan(database, count, indexes_only=True)
    assert re.search("COVERING INDEX ix_recipients_todo|Index Only Scan", counted)
    due = await _plan(database, turns.DUE_LISTED)
    assert due.count("ix_recipients_todo") == 1
    assert hot.scanned(counted + due) == []
    for statement in (turns.TAKE, turns.ACCEPT, turns.SUBSCRIBERS):
        words = await _plan(database, statement)
        assert "_state" not in words
        assert "_todo" not in words
        assert hot.scanned(words) == []


async def test_a_long_list_is_not_walked_because_it_is_new(database: Database) -> None:
    """PostgreSQL knows nothing of rows that it has not counted."""
    people = [{"id": f"c{n}", "email": f"c{n}@example.org"} for n in range(6000)]
    delivery = await seed(database, people, now=1)
    clerk = Clerk(
        database=database, gate=Gate(database, Rates(), Pace(), Random()), delivery_id=delivery.id,
        token="token-1", list_id=ACCOUNT, key=b"k",
    )  # fmt: skip
    chosen = await choose_all(
        clerk, Clock(), delivery, account_id=ACCOUNT, by_email=True, at_once=2000
    )
    assert chosen is None
    for statement in (turns.TAKE, turns.ACCEPT):
        words = await _plan(database, statement, indexes_only=False)
        found = [line for line in words.splitlines() if "Cond" in line or "SEARCH" in line]
        assert found
        assert all("contact_id" in line for line in found)


async def _plan(database: Database, statement: Ready, *, indexes_only: bool = True) -> str:
    """How the database runs a statement of a broadcast, in its own words."""
    values = {
        "of": DELIVERY, "by": "t", "list": ACCOUNT, "now": 1, "limit": 5, "said": "2.0.0",
        "ids": database.packed([f"c{n}" for n in range(50)]),
    }  # fmt: skip
    async with database.read() as connection:
        text, named = statement.text(connection)
        if database.is_postgresql and indexes_only:
            await connection.exec_driver_sql("SET enable_seqscan = off")
        explain = "EXPLAIN" if database.is_postgresql else "EXPLAIN QUERY PLAN"
        bound = tuple(values.get(name, fixed) for name, fixed in named)
        rows = await connection.exec_driver_sql(f"{explain} {text}", bound)
        return "\n".join(str(row[-1]) for row in rows)
