"""What is held for an account that is well goes on, whoever else decides about it just then."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from sqlalchemy import insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from channels.outcome import HealthStatus
from scheduler.deliveries import State
from scheduler.store.absences import release_strays
from scheduler.store.db import Database
from scheduler.store.tables import accounts, deliveries, posts

NOW = 1_800_000_000_000_000
# As the table has them: the last by id is the first that a query meets.
IDS = ("c", "b", "a")


class Interrupted(Database):
    """A database in which something else happens after the next reading."""

    then: Callable[[Database], Awaitable[object]] | None = None

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        async with super().read() as connection:
            yield connection
        then, self.then = self.then, None
        if then is not None:
            await then(self)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Interrupted]:
    """Three deliveries, held for an account that is well."""
    database = Interrupted(database_url)
    async with database.write() as connection:
        await connection.execute(
            insert(accounts).values(
                id="account", adapter="facebook", channel="facebook", name="Page", settings={},
                secrets=b"", status="healthy", status_since=NOW, policy={},
                created_at=NOW, updated_at=NOW,
            )
        )  # fmt: skip
        for one in IDS:
            await connection.execute(
                insert(posts).values(
                    id=one, kind="essential", title="t", content={}, due_at=NOW, zone="UTC",
                    late_policy="publish", version=1, created_by="test",
                    created_at=NOW, updated_at=NOW,
                )
            )  # fmt: skip
            await connection.execute(
                insert(deliveries).values(
                    id=one, post_id=one, account_id="account", part="post", state=State.HELD,
                    hold_reason="suspected", due_at=NOW, planned_at=NOW,
                    created_at=NOW, updated_at=NOW,
                )
            )  # fmt: skip
    yield database
    await database.close()


async def states(database: Database) -> dict[str, str]:
    async with database.read() as connection:
        rows = await connection.execute(select(deliveries.c.id, deliveries.c.state))
        return {row.id: row.state for row in rows}


async def cancel(connection: AsyncConnection, delivery: str) -> None:
    await connection.execute(
        update(deliveries).where(deliveries.c.id == delivery).values(state=State.CANCELLED)
    )


async def test_what_a_person_cancels_meanwhile_stays_cancelled(database: Interrupted) -> None:
    async def person(database: Database) -> None:
        async with database.write() as connection:
            await cancel(connection, "b")

    database.then = person
    assert await release_strays(database, NOW)
    assert await states(database) == {"a": "scheduled", "b": "cancelled", "c": "scheduled"}


async def test_an_account_that_is_lost_meanwhile_keeps_its_queue(database: Interrupted) -> None:
    async def lose(database: Database) -> None:
        async with database.write() as connection:
            await connection.execute(update(accounts).values(status=HealthStatus.ACCESS_LOST))

    database.then = lose
    await release_strays(database, NOW)
    assert await states(database) == dict.fromkeys(IDS, "held")
    assert not await release_strays(database, NOW)


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_who_changes_others_of_them_is_waited_for_and_never_waits_in_a_ring(
    database: Interrupted, database_url: str
) -> None:
    """SQLite has one writer at a time. On PostgreSQL rows are locked in the order of their ids, as
    all do who change many: whoever has the first may take the rest."""
    async with database.write() as connection:
        name = (await connection.execute(text("SELECT current_database()"))).scalar_one()
        for way in ("indexscan", "bitmapscan", "indexonlyscan"):  # the last by id comes first
            await connection.execute(text(f"ALTER DATABASE {name} SET enable_{way} = off"))
    worker = Database(database_url)
    waits = text("SELECT 1 FROM pg_locks WHERE NOT granted")
    async with database.write() as person:
        await cancel(person, "a")
        releasing = asyncio.create_task(release_strays(worker, NOW))
        async with database.read() as looking, asyncio.timeout(60):
            while (await looking.execute(waits)).first() is None:  # noqa: ASYNC110 -- no event
                await asyncio.sleep(0.01)
        await cancel(person, "c")
    assert await releasing
    assert await states(database) == {"a": "cancelled", "b": "scheduled", "c": "cancelled"}
    await worker.close()
