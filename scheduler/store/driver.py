"""aiosqlite with one trip to SQLite's thread for each statement.

Its cursors take three or four: to be made, to execute, to fetch, to be closed. Each wakes a thread
and the loop again, and that costs more than most of our statements do.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Self, TypeVar

import aiosqlite
from aiosqlite import core

# One statement and its parameters: its rows.
Say = Callable[[str, Sequence[Any]], list[Any]]
T = TypeVar("T")
_STOP: Any = core._STOP_RUNNING_SENTINEL  # noqa: SLF001 -- what ends its thread


class Cursor:
    """What SQLAlchemy asks of an asynchronous cursor. Results come whole: nothing streams here."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._rows: list[Any] = []
        self.description: Any = None
        self.rowcount = -1
        self.lastrowid: int | None = None

    async def __aenter__(self) -> Self:
        return self

    async def execute(self, operation: str, parameters: Sequence[Any] = ()) -> None:
        await self._run("execute", operation, parameters)

    async def executemany(self, operation: str, parameters: Sequence[Any]) -> None:
        await self._run("executemany", operation, parameters)

    async def fetchall(self) -> list[Any]:
        rows, self._rows = self._rows, []
        return rows

    async def close(self) -> None:
        self._rows = []

    async def _run(self, how: str, operation: str, parameters: Sequence[Any]) -> None:
        done = await self._connection.at_once(how, operation, parameters)
        self.description, self.rowcount, self.lastrowid, self._rows = done


class Connection(aiosqlite.Connection):
    """Hands out the cursors above."""

    _stopped = False
    _end: asyncio.Future[Any] | None = None
    _tx: Any

    def __init__(self, connector: Callable[[], sqlite3.Connection]) -> None:
        super().__init__(connector, iter_chunk_size=64)
        # A daemon: as SQLAlchemy makes those of connections that it opens itself.
        self._thread = threading.Thread(target=_serve, args=(self._tx,), daemon=True)

    def stop(self) -> asyncio.Future[Any] | None:
        """Once: the thread ends with the first, and a second would be waited for in vain."""
        if self._stopped:
            return None
        self._stopped = True
        self._end = super().stop()
        self._tx.put_nowait((None, lambda: _STOP))  # when the first could not be answered
        return self._end

    async def _connect(self) -> aiosqlite.Connection:
        try:
            return await super()._connect()
        except Exception:
            if self._end is not None:
                await self._end  # else the thread speaks to a loop that may be closed by then
            raise

    def cursor(self) -> Any:
        return Cursor(self)

    async def at_once(
        self, how: str, operation: str, parameters: Sequence[Any]
    ) -> tuple[Any, int, int | None, list[Any]]:
        """Description, number of rows changed, last row id and the rows of one statement."""
        run: Any = self._execute
        done: tuple[Any, int, int | None, list[Any]] = await run(
            self._at_once, how, operation, parameters
        )
        return done

    async def together(self, work: Callable[[Say], T]) -> T:
        """What `work` does with the statements that it says, in one trip."""
        run: Any = self._execute
        done: T = await run(work, self._say)
        return done

    def _say(self, operation: str, parameters: Sequence[Any]) -> list[Any]:
        return self._at_once("execute", operation, parameters)[3]

    def _at_once(
        self, how: str, operation: str, parameters: Sequence[Any]
    ) -> tuple[Any, int, int | None, list[Any]]:
        cursor = self._conn.cursor()
        try:
            getattr(cursor, how)(operation, parameters)
            rows = cursor.fetchall() if cursor.description else []
            return cursor.description, cursor.rowcount, cursor.lastrowid, rows
        finally:
            # A statement that is not closed keeps its lock, and its transaction.
            cursor.close()


def connect(database: str, **options: Any) -> Connection:
    """As `aiosqlite.connect`, for SQLAlchemy's `async_creator_fn`."""
    return Connection(lambda: sqlite3.connect(database, **options))


def _serve(tx: Any) -> None:
    """As aiosqlite's thread, which answers into a loop: when that is closed, nobody waits for the
    answer, and what comes after it, closing above all, has to be done all the same."""
    ended = False
    while not ended:
        with suppress(RuntimeError):
            core._connection_worker_thread(tx)  # noqa: SLF001 -- the only way to be there when it fails
            ended = True
