"""Migrations on both engines: from nothing to the schema that the tables describe."""

import asyncio
from pathlib import Path

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from scheduler import store
from scheduler.store.db import Database
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
        await reader.execute(text("SELECT 1 FROM lists"))
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
