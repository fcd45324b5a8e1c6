"""Indexes that PostgreSQL builds while others write, before the migration that wants them.

A transaction that builds one keeps every writer of its table waiting; `CONCURRENTLY` does not, and
is no part of a transaction. A migration that names its `INDEX`, and how to `build` it, finds it
there.

One process at a time, and nobody waits for that in a transaction: the build would wait for its end,
and both for ever. What a build that failed left behind is built anew.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from types import ModuleType

import structlog
from sqlalchemy import Connection, text

from scheduler.store.db import Connection as AsyncConnection
from scheduler.store.db import Database
from scheduler.store.faults import StoreError

log = structlog.get_logger()

LOOKS_EVERY = 0.2  # seconds

_ASK = "SELECT pg_try_advisory_lock(7310296)"
_STATE = text(
    "SELECT i.indisvalid, p.pid IS NOT NULL AS under_way FROM pg_index i"
    " LEFT JOIN pg_stat_progress_create_index p ON p.index_relid = i.indexrelid"
    " WHERE i.indexrelid = to_regclass(:name)"
)


@asynccontextmanager
async def my_turn(database: Database) -> AsyncIterator[AsyncConnection]:
    """Once nobody else upgrades this PostgreSQL; a connection to build with."""
    connection = await database.kept()
    try:
        while not (await connection.exec_driver_sql(_ASK)).scalar_one():  # noqa: ASYNC110 -- a database tells nobody
            await asyncio.sleep(LOOKS_EVERY)
        yield connection
    finally:
        with suppress(StoreError):  # a connection that is lost has no lock
            await connection.exec_driver_sql("SELECT pg_advisory_unlock_all()")
        await connection.close()


async def build_ahead(connection: AsyncConnection, migration: ModuleType) -> None:
    """Build its index, if it names one, on a connection of `my_turn`. Errors: the driver's own;
    what is there is then not valid, and built anew by whoever comes next."""
    name = getattr(migration, "INDEX", None)
    if name is not None and not await _standing(connection, name):
        log.info("index.building", index=name)
        await connection.run_sync(_build, migration)


async def _standing(connection: AsyncConnection, name: str) -> bool:
    """Whether it is there: once whoever builds it by hand is through, and without what a build that
    failed has left."""
    while True:
        state = (await connection.execute(_STATE, {"name": name})).first()
        if state is None or state.indisvalid:
            return state is not None
        if not state.under_way:
            await connection.exec_driver_sql(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
            return False
        await asyncio.sleep(LOOKS_EVERY)


def _build(connection: Connection, migration: ModuleType) -> None:
    from alembic.migration import MigrationContext
    from alembic.operations import Operations

    with Operations.context(MigrationContext.configure(connection)):
        migration.build(postgresql_concurrently=True)
