"""One engine for both databases, and the few places where they differ."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from typing import Any
from weakref import WeakSet

from sqlalchemy import ARRAY, String, Text, any_, bindparam, cast, event, func, literal, select
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.schema import Table
from sqlalchemy.sql import ColumnElement

from scheduler.ending import within
from scheduler.store import silence

_CLOSES_WITHIN = 1.0
_WAL_TRIES, _WAL_PAUSE = 200, 0.01

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
        self._lines: WeakSet[Any] = WeakSet()
        self._closed = False
        self._insert = _insert_of(is_postgresql=self.is_postgresql)
        options: dict[str, Any] = (
            {
                "max_overflow": pool_size,
                "pool_pre_ping": True,
                "connect_args": {"timeout": silence.CONNECTS_WITHIN},
            }
            if self.is_postgresql
            else {
                "max_overflow": 0,
                "connect_args": {"timeout": 30, "async_creator_fn": _connect_sqlite},
                "pool_reset_on_return": None,
                "pool_use_lifo": True,  # each has a page cache of its own: fill few of them
            }
        )
        self._writing: AsyncEngine = create_async_engine(url, pool_size=pool_size, **options)
        # Reads without BEGIN and COMMIT around them: on SQLite each is a hop to another thread
        # and back, on PostgreSQL a round trip.
        self._reading: AsyncEngine = create_async_engine(
            url,
            pool_size=pool_size,
            isolation_level="AUTOCOMMIT",
            skip_autocommit_rollback=True,
            **options,
        )
        for engine in (self._writing, self._reading):
            event.listen(engine.sync_engine, "checkin", self._came_back)
        if self.is_postgresql:
            for engine in (self._writing, self._reading):
                event.listen(engine.sync_engine, "connect", self._remember)
                event.listen(engine.sync_engine, "connect", silence.notice)
                event.listen(engine.sync_engine, "handle_error", silence.leave_replicas)
        else:
            event.listen(self._writing.sync_engine, "connect", prepare_sqlite)
            event.listen(self._writing.sync_engine, "begin", _begin_sqlite)
            event.listen(self._writing.sync_engine, "handle_error", _roll_back_when_cancelled)
            event.listen(self._reading.sync_engine, "connect", prepare_sqlite)

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that will write: on SQLite it takes the writer's lock at once, so that it
        waits for its turn instead of failing half-way."""
        async with self._writing.connect() as connection, connection.begin():
            yield connection

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """For reading: each statement sees what is committed when it starts."""
        async with self._reading.connect() as connection:
            yield connection

    async def kept(self) -> AsyncConnection:
        """A connection for its caller to keep and close; each statement commits by itself."""
        return await self._reading.connect()

    def insert(self, table: Table) -> Insert:
        """An INSERT that knows ON CONFLICT on both engines."""
        return self._insert(table)

    def each(self, texts: Collection[str]) -> Any:
        """For `IN`: any number of texts as one parameter, so that the statement stays the same."""
        if self.is_postgresql:
            listed = literal(list(texts), ARRAY(Text))
            return select(func.unnest(listed).column_valued("each"))
        return select(func.json_each(json.dumps(list(texts))).table_valued("value").c.value)

    def packed(self, texts: Collection[str]) -> Any:
        """Texts as `among` takes them."""
        return list(texts) if self.is_postgresql else json.dumps(list(texts))

    async def close(self) -> None:
        """SQLite's threads are waited for; a server that hangs is not, its connections are cut.
        What somebody still uses is closed when they are done with it."""
        self._closed = True
        if not self.is_postgresql:
            return await self._dispose()
        try:
            await within(_CLOSES_WITHIN, self._dispose())
        except TimeoutError:
            for line in self._lines:
                line.terminate()

    def _remember(self, connection: Any, _record: object) -> None:
        self._lines.add(connection.driver_connection)

    def _came_back(self, _connection: object, record: Any) -> None:
        if self._closed:  # its pool is gone: nobody would close it
            record.invalidate()

    async def _dispose(self) -> None:
        await self._writing.dispose()
        await self._reading.dispose()


def _connect_sqlite(database: str, **options: Any) -> Any:
    from scheduler.store import driver

    return driver.connect(database, **options)


def _insert_of(*, is_postgresql: bool) -> Callable[[Table], Insert]:
    # Each loads its dialect, megabytes that a process on the other database has no use for.
    if is_postgresql:
        from sqlalchemy.dialects import postgresql

        return postgresql.insert
    from sqlalchemy.dialects import sqlite

    return sqlite.insert


def among(column: ColumnElement[Any], name: str, *, postgresql: bool) -> ColumnElement[bool]:
    """Whether it is one of the texts that are bound as `name` (see `Database.packed`), for
    statements that are built once."""
    if postgresql:
        # Not `IN (SELECT unnest(…))`: of a table that is new to it, PostgreSQL thinks that walking
        # it once is less than looking for each.
        return column == any_(bindparam(name, type_=ARRAY(String)))
    each = func.json_each(bindparam(name, type_=Text)).table_valued("value").c.value
    return column.in_(select(each))


def unindexed(column: ColumnElement[str]) -> ColumnElement[str]:
    """For a condition that most rows meet: SQLite, which takes a list of ids for a long one, would
    walk all of them by the index of this column."""
    return func.coalesce(column, "")


def rows_as_json(*columns: ColumnElement[Any], postgresql: bool) -> ColumnElement[str]:
    """To select: all rows as one JSON text, an array of arrays (NULL on PostgreSQL when there are
    none). Rows that are fetched one by one cost more to fetch than to find."""
    if postgresql:
        return cast(func.json_agg(func.json_build_array(*columns)), Text)
    return func.json_group_array(func.json_array(*columns), type_=Text)


def texts_as_json(column: ColumnElement[str], *, postgresql: bool) -> ColumnElement[str]:
    """As `rows_as_json`, of one column: an array of texts."""
    return cast(func.json_agg(column), Text) if postgresql else func.json_group_array(column)


async def lost(connection: AsyncConnection) -> bool:
    """Whether PostgreSQL's server closed this connection meanwhile (a restart)."""
    raw = await connection.get_raw_connection()
    driver = raw.driver_connection
    return driver is None or bool(driver.is_closed())


def prepare_sqlite(connection: Any, _record: object = None) -> None:
    """A new connection of SQLite's driver as all of ours are."""
    connection.isolation_level = None  # we say BEGIN ourselves
    cursor = connection.cursor()
    _use_wal(cursor)
    for pragma in (
        "synchronous=FULL",
        "foreign_keys=ON",
        "busy_timeout=30000",
        "temp_store=MEMORY",
        "cache_size=-8000",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _use_wal(cursor: Any) -> None:
    """SQLite waits for nobody when it turns a new file to WAL: whoever opens it at that moment is
    told "locked" at once, whatever its timeout."""
    for left in reversed(range(_WAL_TRIES)):
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if not left or error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
                raise
            time.sleep(_WAL_PAUSE)
        else:
            return


def _roll_back_when_cancelled(context: ExceptionContext) -> None:
    """SQLAlchemy drops a connection whose statement was cancelled. SQLite then keeps its lock until
    Python's collector finds the cursor: for everybody else, minutes of "database is locked"."""
    if isinstance(context.original_exception, asyncio.CancelledError):
        context.is_disconnect = False


def _begin_sqlite(connection: Any) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")
