"""Queues and counts that are read a part at a time: the parts are the whole."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

import pytest
from sqlalchemy import insert

from scheduler.deliveries import State
from scheduler.foresight import DAY
from scheduler.store import absences, baskets, drills, foresight, reroutes
from scheduler.store.db import Database
from scheduler.store.tables import accounts, deliveries, posts

NOW = 1_800_000_000_000_000
HELD = ("suspected", "access-lost", "approval", "late")


@pytest.fixture
async def filled(database: Database) -> list[dict[str, Any]]:
    """Two accounts with two hundred deliveries in every state, many of them due at one moment."""
    random = Random(7)
    rows: list[dict[str, Any]] = []
    for number in range(400):
        state = random.choice([*State, State.SCHEDULED, State.HELD, State.REROUTED])
        updated = NOW - random.randrange(4) * DAY
        final = state in {State.REROUTED, State.FAILED, State.CANCELLED, State.DELIVERED}
        rows.append(
            {
                "id": f"{random.getrandbits(64):016x}", "post_id": f"p{number}",
                "account_id": random.choice("ab"), "part": "post", "state": state,
                "due_at": NOW + random.randrange(-5, 6) * DAY, "planned_at": NOW, "token": None,
                "hold_reason": random.choice(HELD) if state is State.HELD else None,
                "created_at": NOW, "updated_at": updated,
                "finished_at": updated if final else None,
            }
        )  # fmt: skip
    async with database.write() as connection:
        for account in "ab":
            await connection.execute(
                insert(accounts).values(
                    id=account, adapter="blog", channel="blog", name=account, settings={},
                    status="vanished", status_since=NOW, created_at=NOW, updated_at=NOW,
                )
            )  # fmt: skip
        await connection.execute(
            insert(posts),
            [
                {
                    "id": f"p{number}", "kind": "essential", "title": f"t{number}", "content": {},
                    "due_at": NOW, "zone": "UTC", "late_policy": "publish", "version": 1,
                    "created_by": "t", "created_at": NOW, "updated_at": NOW,
                }
                for number in range(400)
            ],
        )  # fmt: skip
        await connection.execute(insert(deliveries), rows)
    return rows


def _titles(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    return [f"t{str(row['post_id'])[1:]}" for row in rows]


async def test_a_queue_comes_whole_and_in_order_however_it_is_parted(
    database: Database, filled: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = [
        row
        for row in filled
        if row["account_id"] == "a"
        and (row["state"] == "scheduled" or row["hold_reason"] in HELD[:2])
    ]
    wanted = sorted((row["due_at"], row["id"]) for row in waiting)
    assert len(wanted) > 20
    for at_once in (1, 7, len(wanted), 500):
        monkeypatch.setattr(reroutes, "AT_ONCE", at_once)
        parts = [part async for part in reroutes.queue_of(database, "a")]
        assert [(one.due_at, one.id) for part in parts for one in part] == wanted
        assert max(len(part) for part in parts) <= at_once
    assert set(await absences.vanished_with_queue(database)) == {"a", "b"}


async def test_a_queue_that_is_moved_while_it_is_read_comes_once(
    database: Database, filled: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reroutes, "AT_ONCE", 5)
    seen: list[str] = []
    async for part in reroutes.queue_of(database, "a"):
        seen += [one.id for one in part]
        async with database.write() as connection:
            await connection.execute(
                deliveries.update()
                .where(deliveries.c.id.in_([one.id for one in part[:3]]))
                .values(state="rerouted")
            )
    assert len(seen) == len(set(seen))
    waiting = {row["id"] for row in filled if row["account_id"] == "a"}
    scheduled = {row["id"] for row in filled if row["state"] == "scheduled"}
    assert scheduled & waiting <= set(seen)


async def test_what_is_at_risk_is_named_in_order_and_counted(
    database: Database, filled: list[dict[str, Any]]
) -> None:
    at_risk = [
        row
        for row in filled
        if row["account_id"] == "b"
        and row["state"] in {"scheduled", "held"}
        and row["due_at"] > NOW
    ]
    at_risk.sort(key=lambda row: (row["due_at"], row["id"]))
    async with database.read() as connection:
        named, count = await foresight.due_after(connection, "b", NOW)
    assert named == _titles(at_risk[: foresight.NAMED])
    assert count == len(at_risk)


async def test_what_ended_since_a_moment_is_what_every_row_says(
    database: Database, filled: list[dict[str, Any]]
) -> None:
    since = NOW - 2 * DAY
    mine = [row for row in filled if row["account_id"] == "a" and row["updated_at"] >= since]
    async with database.read() as connection:
        counts = await absences._moved_since(connection, "a", since)
        left = await absences._left_behind(connection, "a", since)
        moved = await reroutes.rerouted_since(connection, "a", since)
        away = await reroutes.away(connection, since=since, now=NOW)
    wanted = Counter(row["state"] for row in mine)
    assert counts == {state: wanted[state] for state in ("rerouted", "held", "failed")}
    behind = [row for row in mine if row["state"] in {"held", "failed"}]
    behind.sort(key=lambda row: (row["due_at"], row["id"]))
    assert left == _titles(behind)
    assert {one.id for one in moved} == {row["id"] for row in mine if row["state"] == "rerouted"}
    assert away["a"] == sum(one.due_at > NOW for one in moved)


async def test_counts_of_two_times_are_the_count_of_both(
    database: Database, filled: list[dict[str, Any]]
) -> None:
    async with database.read() as connection:
        parts = [
            await baskets.carried(connection, NOW - 5 * DAY, NOW),
            await baskets.carried(connection, NOW, NOW + 6 * DAY),
        ]
    both = Counter(parts[0].counts) + Counter(parts[1].counts)
    assert both == Counter(r["account_id"] for r in filled if r["state"] == "delivered")


async def test_the_last_drill_of_each_account_is_told_without_its_report(
    database: Database,
) -> None:
    async with database.write() as connection:
        for account, at in (("a", 1), ("b", 2), ("a", 3)):
            await drills.keep(
                connection, account_id=account, live=False, actor="t", report={}, now=at
            )
    async with database.read() as connection:
        assert await drills.last(connection) == {"a": 3, "b": 2}
