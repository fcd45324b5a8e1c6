"""What sends came to, in groups: fenced by token, all of a group or nothing of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from sqlalchemy import func, select, text, update

from scheduler.changes import Change, columns, event
from scheduler.deliveries import Delivery, State
from scheduler.store import claims
from scheduler.store.db import Database
from scheduler.store.outcomes import Ended, Outcomes, open_outcomes, write_in
from scheduler.store.tables import attempts, deliveries, events
from tests.store.test_rescue import NOW, armed

QUOTED = 'l\'été, "ça" 🎈 \\ {1,2} $1 ? :x'
only_postgresql = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)


@pytest.fixture
async def outcomes(database: Database) -> AsyncIterator[Outcomes]:
    opened = open_outcomes(database)
    yield opened
    await opened.close()


async def _delivery(database: Database) -> Delivery:
    async with database.read() as connection:
        rows = await connection.execute(select(*claims.COLUMNS))
        return claims.to_delivery(rows.mappings().one())


async def _armed(database: Database) -> Delivery:
    await armed(database, due_at=NOW, heard_at=NOW)
    return await _delivery(database)


def _ended(delivery: Delivery, *, moved: bool = False) -> Ended:
    new = columns(delivery, State.DELIVERED, NOW, tries=1, cause=QUOTED, remote_id="r", url="u")
    attempt = {
        "delivery_id": delivery.id, "number": 1, "token": delivery.token, "worker": "w",
        "action": "send", "started_at": NOW, "finished_at": NOW + 1, "late_us": -3,
        "outcome": "delivered", "decision": "done", "detail": QUOTED, "evidence": {"code": QUOTED},
    }  # fmt: skip
    line = event("delivery.delivered", delivery, NOW, "worker:w", {"url": QUOTED})
    return Ended(None if moved else Change(delivery, delivery.token, new), attempt, line)


async def _told(database: Database) -> tuple[Any, Sequence[Any], Sequence[Any]]:
    """The delivery, the attempts, the events."""
    async with database.read() as connection:
        one = (await connection.execute(select(deliveries))).one()
        tried = (await connection.execute(select(attempts).order_by(attempts.c.id))).all()
        lines = (await connection.execute(select(events).order_by(events.c.seq))).all()
    return one, tried, lines


async def _taken_over(connection: Any) -> None:
    await connection.execute(update(deliveries).values(token="another"))


async def test_an_outcome_is_written_with_its_attempt_and_its_event(
    database: Database, outcomes: Outcomes
) -> None:
    delivery = await _armed(database)
    ended = _ended(delivery)
    assert await outcomes.write([ended], NOW + 5) == {delivery.id}
    one, tried, lines = await _told(database)
    assert (one.state, one.cause, one.remote_id, one.tries) == ("delivered", QUOTED, "r", 1)
    assert (one.token, one.worker, one.lease_until, one.updated_at) == (None, None, None, NOW + 5)
    assert [dict(row._mapping) for row in tried] == [
        {"id": tried[0].id, **ended.attempt, "stale": False}
    ]
    assert [dict(row._mapping) for row in lines] == [{"seq": lines[0].seq, **ended.event}]


@pytest.mark.parametrize("together", [False, True], ids=["alone", "in a transaction"])
async def test_whoever_lost_the_lease_writes_evidence_and_no_state(
    database: Database, outcomes: Outcomes, *, together: bool
) -> None:
    ended = _ended(await _armed(database))
    async with database.write() as connection:
        await _taken_over(connection)
    if together:
        async with database.write() as connection:
            changed = await write_in(connection, [ended], NOW)
    else:
        changed = await outcomes.write([ended], NOW)
    assert changed == set()
    assert ended.stale(changed)
    one, tried, lines = await _told(database)
    assert (one.state, one.token) == ("armed", "another")
    assert [row.stale for row in tried] == [True]
    assert [row.kind for row in lines] == ["delivery.stale"]


async def test_of_two_attempts_at_one_delivery_only_the_holders_counts(
    database: Database, outcomes: Outcomes
) -> None:
    first = _ended(await _armed(database))
    async with database.write() as connection:
        await _taken_over(connection)
    second = _ended(await _delivery(database))
    assert await outcomes.write([second], NOW) == {"delivery"}
    assert await outcomes.write([first], NOW) == set()
    one, tried, lines = await _told(database)
    assert one.state == "delivered"
    assert [row.stale for row in tried] == [False, True]
    assert [row.kind for row in lines] == ["delivery.delivered", "delivery.stale"]


async def test_what_takes_another_road_keeps_its_claim_until_then(
    database: Database, outcomes: Outcomes
) -> None:
    delivery = await _armed(database)
    ended = _ended(delivery, moved=True)
    changed = await outcomes.write([ended], NOW)
    assert not ended.stale(changed)
    one, tried, lines = await _told(database)
    assert (one.state, one.token, one.lease_until) == ("armed", "t", delivery.lease_until)
    assert [row.stale for row in tried] == [False]
    assert [row.kind for row in lines] == ["delivery.delivered"]


async def test_a_group_that_fails_leaves_nothing_and_the_next_is_written(
    database: Database, outcomes: Outcomes
) -> None:
    ended = _ended(await _armed(database))
    broken = ended._replace(attempt={**ended.attempt, "outcome": None})
    with pytest.raises(Exception, match=r"(?i)null"):
        await outcomes.write([ended, broken], NOW)
    one, tried, lines = await _told(database)
    assert (one.state, tried, lines) == ("armed", [], [])
    assert await outcomes.write([ended], NOW) == {"delivery"}


async def test_closing_again_is_nothing(database: Database, outcomes: Outcomes) -> None:
    await outcomes.close()
    await outcomes.close()
    used = open_outcomes(database)
    await used.write([_ended(await _armed(database))], NOW)
    await used.close()
    await used.close()


@only_postgresql
async def test_a_takeover_that_commits_while_the_group_waits_for_it_wins(
    database: Database, outcomes: Outcomes
) -> None:
    ended = _ended(await _armed(database))
    async with database.write() as connection:
        await _taken_over(connection)
        writing = asyncio.create_task(outcomes.write([ended], NOW))
        await _waits_for_a_lock(database)
    assert await writing == set()
    one, tried, _ = await _told(database)
    assert (one.state, one.token) == ("armed", "another")
    assert [row.stale for row in tried] == [True]


@only_postgresql
async def test_a_connection_lost_between_two_groups_is_replaced(
    database: Database, outcomes: Outcomes
) -> None:
    ended = _ended(await _armed(database), moved=True)
    await outcomes.write([ended], NOW)
    async with database.read() as connection:
        others = text(
            "SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        assert (await connection.execute(others)).scalar_one()
    await outcomes.write([ended], NOW)
    _, tried, _ = await _told(database)
    assert len(tried) == 2


async def _waits_for_a_lock(database: Database) -> None:
    waiting = select(func.count()).select_from(text("pg_locks")).where(text("NOT granted"))
    async with asyncio.timeout(60):
        while True:
            async with database.read() as connection:
                if (await connection.execute(waiting)).scalar_one():
                    return
