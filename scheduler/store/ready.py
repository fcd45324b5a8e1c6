"""Statements that are built once and said to the database as they are.

SQLAlchemy's way of a statement costs 60 us of the loop's thread and more, whatever it asks: more
than most of those that a mailing repeats once a chunk.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Generator, Sequence
from functools import partial
from typing import Any, TypeVar

from sqlalchemy import Executable
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql import ClauseElement

from scheduler.store.driver import Connection as Driver
from scheduler.store.driver import Say

T = TypeVar("T")


class Ready:
    """`build` makes the statement, told whether it is for PostgreSQL (`postgresql`). It has no
    parameter that is a list for `IN`, and none whose type the driver does not know by itself."""

    def __init__(self, build: Callable[..., Executable]) -> None:
        self._build = build
        self._texts: dict[str, tuple[str, list[tuple[str, Any]]]] = {}

    async def __call__(self, connection: AsyncConnection, **values: Any) -> Sequence[Any]:
        """Its rows. Error: SQLAlchemy's for the driver's."""
        return await follow(connection, self._alone(values))

    def _alone(self, values: dict[str, Any]) -> Steps[Sequence[Any]]:
        return (yield self, values)

    def bound(
        self, connection: AsyncConnection, values: dict[str, Any]
    ) -> tuple[str, tuple[Any, ...]]:
        """Its SQL, and the parameters as they are bound."""
        text, named = self.text(connection)
        return text, tuple([values.get(name, fixed) for name, fixed in named])

    def text(self, connection: AsyncConnection) -> tuple[str, list[tuple[str, Any]]]:
        """Its SQL, and its parameters in their order: name, and value unless another is given."""
        dialect = connection.dialect
        known = self._texts.get(dialect.name)
        if known is None:
            statement = self._build(postgresql=dialect.name == "postgresql")
            assert isinstance(statement, ClauseElement)
            said: Any = statement.compile(dialect=dialect)
            named = [(name, said.params[name]) for name in said.positiontup]
            known = self._texts[dialect.name] = str(said), named
        return known


# Each statement that it yields, with values for its parameters, is answered with rows.
Steps = Generator[tuple[Ready, dict[str, Any]], Sequence[Any], T]


async def follow(connection: AsyncConnection, steps: Steps[T]) -> T:
    """Say one statement after the other. All take one trip to SQLite's thread: for each of its
    own it would wait for Python's lock as long as the loop is busy.

    Error: SQLAlchemy's for the driver's.
    """
    driver = _driver(connection)
    if driver is not None:
        try:
            return await driver.together(partial(_follow, connection, steps))
        except sqlite3.Error as error:
            raise DBAPIError.instance(None, None, error, sqlite3.Error) from error
    try:
        asked = next(steps)
        while True:
            result = await connection.exec_driver_sql(*asked[0].bound(connection, asked[1]))
            asked = steps.send(result.all() if result.returns_rows else ())
    except StopIteration as end:
        done: T = end.value
        return done


def _follow(connection: AsyncConnection, steps: Steps[T], say: Say) -> T:
    try:
        ready, values = next(steps)
        while True:
            ready, values = steps.send(say(*ready.bound(connection, values)))
    except StopIteration as end:
        done: T = end.value
        return done


def _driver(connection: AsyncConnection) -> Driver | None:
    """SQLite's, past SQLAlchemy; the transaction is begun already. PostgreSQL's would not be."""
    assert connection.sync_connection is not None
    found = connection.sync_connection.connection.driver_connection
    return found if isinstance(found, Driver) else None
