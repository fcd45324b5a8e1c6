"""Migrations on both engines: from nothing to the schema that the tables describe."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from scheduler import store
from scheduler.store.db import Database
from scheduler.store.faults import StoreError
from scheduler.store.migrate import current, migrate, newest, pending
from scheduler.store.tables import metadata, told


async def test_an_empty_database_gets_the_schema_and_then_nothing_is_pending(
    empty_database_url: str,
) -> None:
    database = Database(empty_database_url)
    assert await pending(database)
    await asyncio.gather(migrate(database), migrate(database))
    assert await pending(database) == []
    await database.close()


async def test_a_release_runs_beside_the_schema_of_the_one_after_it(database: Database) -> None:
    async with database.write() as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    assert await pending(database) == []
    await migrate(database)
    assert await current(database) == "9999"


async def test_a_step_that_waits_keeps_no_table_from_the_release_that_runs(
    postgres_empty_url: str,
) -> None:
    database = Database(postgres_empty_url)
    await migrate(database, "0005")
    # As a long look does, which is a transaction: 0011 waits for it to end.
    async with asyncio.timeout(60), database.write() as reader:
        await reader.execute(text("LOCK TABLE lists IN ACCESS SHARE MODE"))
        upgrading = asyncio.create_task(migrate(database))
        while await current(database) != "0010":  # noqa: ASYNC110 -- a database tells nobody
            await asyncio.sleep(0.02)
        async with database.write() as connection:
            await connection.execute(text("SET LOCAL lock_timeout = '10s'"))
            await connection.execute(text("UPDATE deliveries SET state = state"))
        assert await current(database) == "0010"
    await upgrading
    assert await pending(database) == []
    await database.close()


@pytest.fixture
async def before(postgres_empty_url: str) -> AsyncIterator[Database]:
    """A database of the release before the first large index."""
    database = Database(postgres_empty_url)
    await migrate(database, "0009")
    yield database
    await database.close()


@asynccontextmanager
async def _someone_writes(database: Database) -> AsyncIterator[None]:
    """A transaction that an index of deliveries has to wait for."""
    async with asyncio.timeout(60), database.write() as connection:
        await connection.execute(text("UPDATE deliveries SET state = state"))
        await connection.execute(text("LOCK TABLE deliveries IN ROW EXCLUSIVE MODE"))
        yield


async def _waited_for(database: Database) -> None:
    """Until somebody waits for a lock."""
    waits = text("SELECT 1 FROM pg_locks WHERE NOT granted")
    async with database.read() as connection:
        while (await connection.execute(waits)).first() is None:  # noqa: ASYNC110 -- a database tells nobody
            await asyncio.sleep(0.02)


async def _indexes(database: Database) -> dict[str, str]:
    """Those that are valid, as they are defined."""
    statement = text(
        "SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid) FROM pg_index"
        " WHERE indisvalid"
        " AND indrelid::regclass::text IN ('deliveries', 'addresses', 'recipients')"
    )
    async with database.read() as connection:
        return {row[0]: row[1] for row in await connection.execute(statement)}


async def test_others_write_while_an_index_is_built(before: Database, postgres_url: str) -> None:
    async with _someone_writes(before):
        upgrading = asyncio.create_task(migrate(before))
        await _waited_for(before)
        async with before.write() as connection:
            await connection.execute(text("SET LOCAL lock_timeout = '10s'"))
            await connection.execute(text("UPDATE deliveries SET state = state"))
            await connection.execute(text("LOCK TABLE deliveries IN ROW EXCLUSIVE MODE"))
    await upgrading
    assert await pending(before) == []
    new = Database(postgres_url)
    assert await _indexes(before) == await _indexes(new)
    await new.close()


async def test_several_processes_may_upgrade_at_once(before: Database) -> None:
    others = [Database(before.url) for _ in range(3)]
    async with _someone_writes(before):
        upgrading = [asyncio.create_task(migrate(one)) for one in others]
        await _waited_for(before)
        await asyncio.wait(upgrading, timeout=1)  # the others come to wait for the first
    await asyncio.gather(*upgrading)
    assert await pending(before) == []
    for one in others:
        await one.close()


async def test_what_an_interrupted_build_left_is_built_anew(before: Database) -> None:
    async with _someone_writes(before):
        upgrading = asyncio.create_task(migrate(before))
        await _waited_for(before)
        stop = (
            "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE query LIKE 'CREATE INDEX%'"
        )
        async with before.read() as connection:
            assert (await connection.execute(text(stop))).scalars().all() == [True]
        with pytest.raises(StoreError, match="user request"):
            await upgrading
    assert "ix_deliveries_left" not in await _indexes(before)
    assert await current(before) == "0009"
    await migrate(before)
    assert "ix_deliveries_left" in await _indexes(before)
    assert await pending(before) == []


async def test_an_index_that_is_built_by_hand_is_waited_for(before: Database) -> None:
    await migrate(before, "0018")
    by_hand = (
        "CREATE INDEX CONCURRENTLY ix_recipients_contact ON recipients (contact_id, delivery_id)"
    )
    async with asyncio.timeout(60):
        async with before.write() as writer:
            await writer.execute(text("LOCK TABLE recipients IN ROW EXCLUSIVE MODE"))
            person = await before.kept()
            building = asyncio.create_task(person.exec_driver_sql(by_hand))
            await _waited_for(before)
            upgrading = asyncio.create_task(migrate(before))
            await asyncio.wait([upgrading], timeout=1)
        await building
        await upgrading
    await person.close()
    assert "ix_recipients_contact" in await _indexes(before)


async def test_the_newest_revision_is_alembics_head(database: Database) -> None:
    script = ScriptDirectory(str(Path(store.__file__).parent / "migrations"))
    assert script.get_heads() == [newest()]
    assert await current(database) == newest()


async def test_the_migrations_end_where_the_tables_are(database: Database) -> None:
    def differences(connection: Connection) -> object:
        return compare_metadata(MigrationContext.configure(connection), told(metadata))

    async with database.read() as connection:
        assert await connection.run_sync(differences) == []


async def test_each_test_has_a_database_of_its_own(database: Database) -> None:
    async with database.write() as connection:
        await connection.execute(text("CREATE TABLE mine (id INTEGER)"))
    async with database.read() as connection:
        found = await connection.execute(text("SELECT count(*) FROM mine"))
    assert found.scalar_one() == 0


test_and_so_has_the_next = test_each_test_has_a_database_of_its_own
