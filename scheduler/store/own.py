"""A connection that one task keeps for what it writes all the time: each write costs one trip.

A pool's transaction is five round trips on PostgreSQL, and five times two hops between threads on
SQLite, where each hop, and each row, may wait for Python's lock as long as the loop is busy.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, TypeVar

from sqlalchemy import CursorResult
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError

from scheduler.store.db import Connection, Database, lost, prepare_sqlite

Execute = Callable[..., sqlite3.Cursor]
T = TypeVar("T")


class OwnSqlite:
    """A thread with a connection; it connects when first used."""

    def __init__(self, database: Database, name: str) -> None:
        self._path = make_url(database.url).database or ""
        self._thread = ThreadPoolExecutor(1, name)
        self._connection: sqlite3.Connection | None = None
        self._closed = False

    async def write(self, work: Callable[[Execute], T]) -> T:
        """What `work` does, in the thread, with a transaction around it; durable on return.
        Error: SQLAlchemy's for the driver's."""
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._thread, self._write, work)
        except sqlite3.Error as error:
            raise DBAPIError.instance(None, None, error, sqlite3.Error) from error

    def _write(self, work: Callable[[Execute], T]) -> T:
        if self._connection is None:
            opened = sqlite3.connect(self._path, check_same_thread=False)
            try:
                prepare_sqlite(opened)
            except BaseException:
                opened.close()
                raise
            self._connection = opened
        run = self._connection.execute
        run("BEGIN IMMEDIATE")
        try:
            done = work(run)
            run("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):  # it was rolled back already
                run("ROLLBACK")
            raise
        return done

    async def close(self) -> None:
        """Its thread, too: nothing is written after it. Closing again is nothing."""
        if self._closed:
            return
        self._closed = True
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._thread, self._close)
        self._thread.shutdown(wait=False)

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class OwnPostgres:
    """A connection out of the pool, replaced when it is lost. Each statement commits by itself."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._connection: Connection | None = None

    async def run(self, statement: str, parameters: Sequence[Any]) -> CursorResult[Any]:
        """Durable on return."""
        if self._connection is None or await lost(self._connection):
            await self.close()
            self._connection = await self._database.kept()
        try:
            return await self._connection.exec_driver_sql(statement, tuple(parameters))
        except BaseException:  # it may be broken, or cancelled half-way
            await self.close()
            raise

    async def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()
