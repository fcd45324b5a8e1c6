"""Statements that are built once and said to the database as they are.

SQLAlchemy's way of a statement costs 60 us of the loop's thread and more, whatever it asks: more
than most of those that a mailing repeats once a chunk.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import Executable
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql import ClauseElement

from scheduler.store.driver import Connection as Driver


class Ready:
    """`build` makes the statement, told whether it is for PostgreSQL (`postgresql`). It has no
    parameter that is a list for `IN`, and none whose type the driver does not know by itself."""

    def __init__(self, build: Callable[..., Executable]) -> None:
        self._build = build
        self._texts: dict[str, tuple[str, list[tuple[str, Any]]]] = {}

    async def __call__(self, connection: AsyncConnection, **values: Any) -> Sequence[Any]:
        """Its rows. Error: SQLAlchemy's for the driver's."""
        text, named = self.text(connection)
        bound = tuple([values.get(name, fixed) for name, fixed in named])
        driver = _driver(connection)
        if driver is None:
            result = await connection.exec_driver_sql(text, bound)
            return result.all() if result.returns_rows else ()
        try:
            return (await driver.at_once("execute", text, bound))[3]
        except sqlite3.Error as error:
            raise DBAPIError.instance(text, None, error, sqlite3.Error) from error

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


def _driver(connection: AsyncConnection) -> Driver | None:
    """SQLite's, past SQLAlchemy; the transaction is begun already. PostgreSQL's would not be."""
    assert connection.sync_connection is not None
    found = connection.sync_connection.connection.driver_connection
    return found if isinstance(found, Driver) else None
