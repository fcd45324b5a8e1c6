"""Taking over from dead workers, also when clocks step."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from sqlalchemy import Update, insert, select, update

from scheduler.deliveries import State
from scheduler.limits import AccountSign, Sign
from scheduler.store import claims, rescue
from scheduler.store.db import Database
from scheduler.store.roster import apply_signs
from scheduler.store.tables import accounts, deliveries, posts

SECOND = 1_000_000
NOW = 1_800_000_000 * SECOND
HOUR = 3600 * SECOND
SILENCE = 10 * SECOND


async def armed(database: Database, *, due_at: int, heard_at: int) -> None:
    """One delivery in the hands of a worker that was last heard at `heard_at`."""
    stamps = {"created_at": NOW, "updated_at": NOW}
    await claims.heartbeat(
        database, worker="dead", host="h", pid=1, started_at=heard_at, now=heard_at
    )
    async with database.write() as connection:
        await connection.execute(
            insert(posts).values(
                id="post", kind="essential", title="", content={}, due_at=due_at, zone="UTC",
                late_policy="publish", version=1, created_by="", **stamps,
            )
        )  # fmt: skip
        await connection.execute(
            insert(accounts).values(
                id="account", adapter="facebook", channel="facebook", name="", settings={},
                status="healthy", status_since=NOW, policy={}, **stamps,
            )
        )  # fmt: skip
        await connection.execute(
            insert(deliveries).values(
                id="delivery", post_id="post", account_id="account", part="post",
                state=State.ARMED, due_at=due_at, planned_at=due_at, token="t", worker="dead",
                lease_until=due_at + 35 * SECOND, attempt=1, **stamps,
            )
        )  # fmt: skip


async def _many(database: Database, ids: list[str]) -> None:
    """Expired claims of a dead worker, in this order in their table."""
    await armed(database, due_at=NOW - HOUR, heard_at=NOW - HOUR)
    stamps = {"created_at": NOW, "updated_at": NOW}
    async with database.write() as connection:
        for name in ids:
            await connection.execute(
                insert(posts).values(
                    id=name, kind="essential", title="", content={}, due_at=NOW, zone="UTC",
                    late_policy="publish", version=1, created_by="", **stamps,
                )
            )  # fmt: skip
            await connection.execute(
                insert(deliveries).values(
                    id=name, post_id=name, account_id="account", part="post", state=State.ARMED,
                    due_at=NOW - HOUR, planned_at=NOW - HOUR, token="t", worker="dead",
                    lease_until=NOW - HOUR, attempt=1, **stamps,
                )
            )  # fmt: skip


async def _rescue(database: Database) -> None:
    await rescued(database, NOW)


async def _settle_left(database: Database) -> None:
    await rescue.settle_left(database, "dead", [], now=NOW, first_look=NOW)


async def _release_all(database: Database) -> None:
    await claims.release_all(database, ["t"], now=NOW)


async def _waits(database: Database) -> bool:
    """Whether a statement in this database waits for a lock."""
    async with database.read() as connection:
        waiting = await connection.exec_driver_sql(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        return bool(waiting.scalar_one())


@pytest.mark.parametrize("take_back", [_rescue, _settle_left, _release_all])
async def test_taking_back_locks_in_the_order_of_everyone_else(
    postgres_url: str, take_back: Callable[[Database], Awaitable[None]]
) -> None:
    """Who has the first of them and goes on to the last must not find it taken by who waits for
    the first: PostgreSQL would end one of the two."""
    database = Database(postgres_url)
    await _many(database, ["c", "b", "a"])

    def lock(name: str) -> Update:
        return update(deliveries).where(deliveries.c.id == name).values(looks=1)

    async with database.write() as connection:
        await connection.execute(lock("a"))
        taking = asyncio.ensure_future(take_back(database))
        while not taking.done() and not await _waits(database):  # noqa: ASYNC110 -- another process
            await asyncio.sleep(0.01)
        await connection.execute(lock("b"))
        await connection.execute(lock("c"))
    await taking
    await database.close()


async def test_accounts_are_marked_in_one_order(postgres_url: str) -> None:
    database = Database(postgres_url)
    signs = {name: AccountSign(sign=Sign.WELL, failures=0) for name in ("b", "a")}
    async with database.write() as connection:
        for name in signs:
            await connection.execute(
                insert(accounts).values(
                    id=name, adapter="facebook", channel="facebook", name="", settings={},
                    status="healthy", status_since=NOW, policy={}, created_at=NOW, updated_at=NOW,
                )
            )  # fmt: skip

    async def mark() -> None:
        async with database.write() as connection:
            await apply_signs(connection, signs, NOW)

    async with database.write() as connection:
        await connection.execute(update(accounts).where(accounts.c.id == "a").values(failures=1))
        marking = asyncio.ensure_future(mark())
        while not await _waits(database):  # noqa: ASYNC110 -- another process
            await asyncio.sleep(0.01)
        await connection.execute(update(accounts).where(accounts.c.id == "b").values(failures=1))
    await marking
    await database.close()


async def rescued(database: Database, now: int) -> tuple[int, int]:
    """(given back, in doubt)."""
    back, doubtful = await rescue.rescue(
        database, now=now, dead_before=now - SILENCE, first_look=now
    )
    return len(back), len(doubtful)


async def test_what_is_not_yet_due_goes_back_at_once(database: Database) -> None:
    await armed(database, due_at=NOW + 5 * SECOND, heard_at=NOW - 11 * SECOND)
    assert await rescued(database, NOW) == (1, 0)


async def test_a_living_workers_stays_its_own(database: Database) -> None:
    await armed(database, due_at=NOW + 5 * SECOND, heard_at=NOW - SECOND)
    assert await rescued(database, NOW) == (0, 0)


async def test_what_was_due_waits_for_its_lease_and_is_then_in_doubt(database: Database) -> None:
    await armed(database, due_at=NOW - SECOND, heard_at=NOW - 11 * SECOND)
    assert await rescued(database, NOW) == (0, 0)
    assert await rescued(database, NOW + 35 * SECOND) == (0, 1)
    async with database.read() as connection:
        state = (await connection.execute(select(deliveries.c.state))).scalar_one()
    assert state == State.UNCONFIRMED


@pytest.mark.parametrize("step", [20 * SECOND, HOUR])
async def test_what_was_due_before_clocks_were_put_back_may_have_been_sent(
    database: Database, step: int
) -> None:
    await armed(database, due_at=NOW, heard_at=NOW - SECOND)
    back = NOW + SECOND - step
    assert await rescued(database, back) == (0, 0)
    assert await rescued(database, NOW + 36 * SECOND) == (0, 1)


async def test_what_was_late_already_may_have_left_at_any_moment_since(database: Database) -> None:
    await armed(database, due_at=NOW - HOUR, heard_at=NOW)
    async with database.write() as connection:
        await connection.execute(update(deliveries).values(lease_until=NOW + SECOND))
    assert await rescued(database, NOW + 2 * SECOND) == (0, 1)
    async with database.read() as connection:
        row = (await connection.execute(select(deliveries))).one()
    assert (row.first_sent_at, row.due_at) == (NOW - HOUR, NOW + 2 * SECOND)
    assert row.planned_at == NOW - HOUR


async def test_a_broadcast_that_was_left_in_mid_run_goes_on(database: Database) -> None:
    await armed(database, due_at=NOW, heard_at=NOW)
    async with database.write() as connection:
        await connection.execute(update(deliveries).values(state=State.SENDING))
    assert await rescued(database, NOW + 30 * SECOND) == (0, 0)
    assert await rescued(database, NOW + 36 * SECOND) == (1, 0)


async def test_what_is_to_be_tried_again_later_is_not_claimed_before(database: Database) -> None:
    await armed(database, due_at=NOW, heard_at=NOW)
    async with database.write() as connection:
        again = {"state": State.SCHEDULED, "token": None, "due_at": NOW + 60 * SECOND}
        await connection.execute(update(deliveries).values(again))

    async def claimed(at: int) -> int:
        found = await claims.claim_due(
            database, horizon=at, worker="two", token="u", lease_until=at + HOUR, now=at
        )
        return len(found)

    assert not await claims.any_due(database, NOW + 59 * SECOND, now=NOW)
    assert await claimed(NOW + 59 * SECOND) == 0
    assert await claimed(NOW + 60 * SECOND) == 1


@pytest.mark.parametrize(("left", "ends"), [({("delivery", 1)}, (0, 1)), (set(), (1, 0))])
async def test_a_journal_says_what_left(
    database: Database, left: set[tuple[str, int]], ends: tuple[int, int]
) -> None:
    await armed(database, due_at=NOW, heard_at=NOW)
    back, doubtful = await rescue.settle_left(database, "dead", left, now=NOW, first_look=NOW)
    assert (len(back), len(doubtful)) == ends
