"""One engine for both databases, and the few places where they differ."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy import event
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.schema import Table

Connection = AsyncConnection
Insert = Any  # the two dialects' inserts share on_conflict_* but no type that says so


class Database:
    """The connection pool, and whether it is PostgreSQL.

    `sqlite+aiosqlite:///path` or `postgresql+asyncpg://…`. SQLite runs in WAL mode with
    synchronous=FULL: a committed outcome that a power cut takes back would be published twice.
    """

    def __init__(self, url: str, *, pool_size: int = 10) -> None:
        self.url = url
        self.is_postgresql = url.startswith("postgresql")
        if self.is_postgresql:
            self.engine: AsyncEngine = create_async_engine(
                url, pool_size=pool_size, max_overflow=pool_size, pool_pre_ping=True
            )
        else:
            self.engine = create_async_engine(
                url, pool_size=pool_size, max_overflow=0, connect_args={"timeout": 30}
            )
            event.listen(self.engine.sync_engine, "connect", _prepare_sqlite)
            event.listen(self.engine.sync_engine, "begin", _begin_sqlite)

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that will write: on SQLite it takes the writer's lock at once, so that it
        waits for its turn instead of failing half-way."""
        async with self.engine.connect() as connection:
            await connection.execution_options(estafette_write=True)
            async with connection.begin():
                yield connection

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        async with self.engine.connect() as connection, connection.begin():
            yield connection

    def insert(self, table: Table) -> Insert:
        """An INSERT that knows ON CONFLICT on both engines."""
        return postgresql_insert(table) if self.is_postgresql else sqlite_insert(table)

    async def close(self) -> None:
        await self.engine.dispose()


def _prepare_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # we say BEGIN ourselves
    cursor = connection.cursor()
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        "busy_timeout=30000",
        "temp_store=MEMORY",
        "cache_size=-16000",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Any) -> None:
    write = connection.get_execution_options().get("estafette_write")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")


def sqlite_version() -> tuple[int, ...]:
    """The linked SQLite's version; RETURNING needs 3.35."""
    return sqlite3.sqlite_version_info
