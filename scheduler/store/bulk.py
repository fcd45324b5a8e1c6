"""Many rows in one statement, on both engines.

SQLAlchemy's executemany costs a round of Python, and on SQLite a wait for the interpreter's lock,
for each row; a spike is made of these. Here a batch travels as a single JSON text (SQLite) or as
one array a column (PostgreSQL, sent in binary), and the engine takes it apart.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from functools import cache, cached_property
from typing import Any

from sqlalchemy import JSON, Dialect, Table
from sqlalchemy.ext.asyncio import AsyncConnection

Row = Sequence[Any]


class Rows:
    """Rows with these columns of a table, as the source of a statement: `FROM {source} n`.

    JSON columns take plain data. Statements name the columns `n.column`.
    """

    def __init__(self, table: Table, names: Sequence[str]) -> None:
        self.names = tuple(names)
        self._json = [number for number, name in enumerate(names) if is_json(table, name)]
        taken = ", ".join(
            f"json_extract(value, '$[{place}]') AS {name}" for place, name in enumerate(names)
        )
        self.sqlite = f"(SELECT {taken} FROM json_each(?))"  # noqa: S608 -- columns of ours
        self._table = table

    @cached_property
    def _postgresql(self) -> str:
        kinds = [kind_of(self._table, name) for name in self.names]
        arrays = ", ".join(f"${place}::{kind}[]" for place, kind in enumerate(kinds, 1))
        return f"unnest({arrays}) AS n({', '.join(self.names)})"

    def source(self, connection: AsyncConnection) -> str:
        """What stands after FROM; its rows are called `n`."""
        return self._postgresql if _is_postgresql(connection) else f"{self.sqlite} AS n"

    def parameters(self, connection: AsyncConnection, rows: Sequence[Row]) -> tuple[Any, ...]:
        """The rows as the statement takes them."""
        if not _is_postgresql(connection):
            return (json.dumps(rows),)
        columns: list[Any] = list(zip(*rows, strict=True))
        for place in self._json:
            columns[place] = [json.dumps(value) for value in columns[place]]
        return tuple(columns)


class Inserts:
    """`await inserts(connection, rows)`: rows with these columns, in their order."""

    def __init__(self, table: Table, names: Sequence[str]) -> None:
        self._rows = Rows(table, names)
        self._head = f"INSERT INTO {table.name} ({', '.join(names)}) SELECT"
        self._sqlite = ", ".join(f"n.{name}" for name in names)
        self._postgresql = ", ".join(cast_of(table, name) for name in names)

    async def __call__(self, connection: AsyncConnection, rows: Sequence[Row]) -> None:
        if not rows:
            return
        if not _is_postgresql(connection):
            await connection.exec_driver_sql(*self.sqlite(rows))
            return
        await connection.exec_driver_sql(
            f"{self._head} {self._postgresql} FROM {self._rows.source(connection)}",
            self._rows.parameters(connection, rows),
        )

    def sqlite(self, rows: Sequence[Row]) -> tuple[str, tuple[str]]:
        """The statement and its parameters, for SQLite's own driver."""
        return f"{self._head} {self._sqlite} FROM {self._rows.sqlite} AS n", (json.dumps(rows),)


class FencedUpdates:
    """`await updates(connection, rows)`: set columns of rows that still have their token.

    A row is (id, token, *new values in the order of `names`); `fixed` is SQL that is the same for
    all of them, `only` a further condition on `d`. Returns the ids of those that were changed.
    """

    def __init__(
        self, table: Table, names: Sequence[str], *, fixed: str = "", only: str = "true"
    ) -> None:
        self._only = only
        self._rows = Rows(table, ("id", "token", *names))
        given = [f"{name} = n.{name}" for name in names]
        cast = [f"{name} = {cast_of(table, name)}" for name in names]
        ends = [fixed] if fixed else []
        # SQLite hands RETURNING out row by row, each with a wait for the interpreter's lock. The
        # writer's lock is ours: what the first statement sees, the second finds.
        ours = f"d.id = n.id AND d.token IS n.token AND {only}"
        source = f"{self._rows.sqlite} AS n"
        self.sqlite_held = (
            f"SELECT json_group_array(d.id) FROM {source} CROSS JOIN {table.name} d ON {ours}"  # noqa: S608 -- names of ours
        )
        self.sqlite_update = (
            f"UPDATE {table.name} AS d SET {', '.join([*given, *ends])} FROM {source} WHERE {ours}"  # noqa: S608 -- names of ours
        )
        self._postgresql = f"UPDATE {table.name} AS d SET {', '.join([*cast, *ends])}"  # noqa: S608 -- columns of ours
        self._table = table.name

    async def __call__(self, connection: AsyncConnection, rows: Sequence[Row]) -> set[str]:
        if not rows:
            return set()
        source = self._rows.source(connection)
        parameters = self._rows.parameters(connection, rows)
        if _is_postgresql(connection):
            # In one order, whoever updates: two batches that share rows would deadlock.
            await connection.exec_driver_sql(
                f"SELECT FROM {self._table} WHERE id = ANY($1::varchar[]) ORDER BY id FOR UPDATE",
                ([row[0] for row in rows],),
            )
            ours = f"d.id = n.id AND d.token IS NOT DISTINCT FROM n.token AND {self._only}"
            changed = await connection.exec_driver_sql(
                f"{self._postgresql} FROM {source} WHERE {ours} RETURNING d.id", parameters
            )
            return {row[0] for row in changed}
        held = await connection.exec_driver_sql(self.sqlite_held, parameters)
        found: set[str] = set(json.loads(held.scalar_one()))
        if found:
            await connection.exec_driver_sql(self.sqlite_update, parameters)
        return found


def columns_of(rows: Iterable[Any], names: Sequence[str]) -> list[list[Any]]:
    """Mappings as rows with these columns."""
    return [[row[name] for name in names] for row in rows]


def _is_postgresql(connection: AsyncConnection) -> bool:
    return connection.dialect.name == "postgresql"


def is_json(table: Table, name: str) -> bool:
    return isinstance(table.c[name].type, JSON)


def kind_of(table: Table, name: str) -> str:
    """The column's type in PostgreSQL; JSON travels as text."""
    return "text" if is_json(table, name) else table.c[name].type.compile(_dialect())


@cache
def _dialect() -> Dialect:
    # Large, and SQLite has no use for it.
    from sqlalchemy.dialects import postgresql

    return postgresql.dialect()  # type: ignore[no-untyped-call]


def cast_of(table: Table, name: str) -> str:
    """PostgreSQL gets JSON as text."""
    return f"n.{name}::json" if is_json(table, name) else f"n.{name}"
