"""Accepted posts, stored with everything that belongs to them in one trip to the database.

They were planned for the accounts as these were at some moment. Whether they still are is asked in
the transaction that stores the posts, so that nobody has to read all accounts for each.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple, Protocol

from sqlalchemy import Table

from scheduler.store import events as journal
from scheduler.store.access_tables import idempotency_keys
from scheduler.store.bulk import Inserts, cast_of, columns_of, is_json, kind_of
from scheduler.store.db import Database
from scheduler.store.own import Execute, OwnPostgres, OwnSqlite
from scheduler.store.roster import VERSION
from scheduler.store.tables import deliveries, events, posts

Row = Mapping[str, Any]

POST = (
    "id", "kind", "title", "content", "due_at", "zone", "late_policy", "deadline_at",
    "campaign_id", "version", "cancelled_at", "created_by", "created_at", "updated_at",
)  # fmt: skip
DELIVERY = (
    "id", "post_id", "account_id", "part", "state", "due_at", "planned_at", "deadline_at",
    "trace", "created_at", "updated_at",
)  # fmt: skip
KEY = ("token_id", "key", "fingerprint", "status", "body", "created_at")


class Arrival(NamedTuple):
    """One accepted post. `kept`: its answer, by Idempotency-Key; no two of a batch share one."""

    post: Row
    deliveries: Sequence[Row]
    event: journal.Event
    kept: Row | None


class Arrivals(Protocol):
    """Errors: whatever the driver raises, and then nothing is stored."""

    async def add(self, batch: Sequence[Arrival], version: str | None) -> set[int] | None:
        """The places in the batch of what was stored, durable on return: all but those whose key
        was taken. None, and nothing is stored, when the accounts have changed since `version`."""
        ...

    async def close(self) -> None: ...


def open_arrivals(database: Database) -> Arrivals:
    """For this database; it connects when first used. One task at a time."""
    return _PostgresArrivals(database) if database.is_postgresql else _SqliteArrivals(database)


_posts = Inserts(posts, POST)
_legs = Inserts(deliveries, DELIVERY)
_keys = Inserts(idempotency_keys, KEY)
# As one row: rows that are fetched one by one each wait for Python's lock.
_STANDING = f"""
    SELECT ({VERSION}), (
        SELECT json_group_array(json_extract(n.value, '$[2]'))
        FROM json_each(?) AS n CROSS JOIN idempotency_keys AS k
            ON k.token_id = json_extract(n.value, '$[0]') AND k.key = json_extract(n.value, '$[1]')
    )
"""  # noqa: S608 -- a constant of ours


class _SqliteArrivals:
    def __init__(self, database: Database) -> None:
        self._own = OwnSqlite(database, "arrivals")

    async def add(self, batch: Sequence[Arrival], version: str | None) -> set[int] | None:
        def work(run: Execute) -> set[int] | None:
            asked = [
                (one.kept["token_id"], one.kept["key"], place)
                for place, one in enumerate(batch)
                if one.kept is not None
            ]
            now, taken = run(_STANDING, (json.dumps(asked),)).fetchone()
            if version not in (None, now):
                return None
            won = set(range(len(batch))) - set(json.loads(taken))
            free = [batch[place] for place in sorted(won)]
            if free:
                _add(run, free)
            return won

        return await self._own.write(work)

    async def close(self) -> None:
        await self._own.close()


def _add(run: Execute, batch: Sequence[Arrival]) -> None:
    legs = [leg for one in batch for leg in one.deliveries]
    kept = [one.kept for one in batch if one.kept is not None]
    if kept:
        run(*_keys.sqlite(columns_of(kept, KEY)))
    run(*_posts.sqlite(columns_of((one.post for one in batch), POST)))
    run(*_legs.sqlite(columns_of(legs, DELIVERY)))
    run(*journal.inserts.sqlite(columns_of((one.event for one in batch), journal.COLUMNS)))


class _Source:
    """Rows as one array a column, and the place in the batch that each belongs to."""

    def __init__(self, table: Table, names: Sequence[str], first: int) -> None:
        """`first`: the number of its first parameter; `end`: of the one after its last."""
        self._names = [(name, is_json(table, name)) for name in names]
        kinds = ["bigint", *(kind_of(table, name) for name in names)]
        arrays = ", ".join(f"${number}::{kind}[]" for number, kind in enumerate(kinds, first))
        taken = ", ".join(cast_of(table, name) for name in names)
        self.end = first + len(kinds)
        self.insert = (
            f"INSERT INTO {table.name} ({', '.join(names)}) SELECT {taken} "  # noqa: S608 -- names of ours
            f"FROM unnest({arrays}) AS n(place, {', '.join(names)})"
        )

    def parameters(self, rows: Iterable[tuple[int, Row]]) -> list[list[Any]]:
        rows = list(rows)
        columns: list[list[Any]] = [[place for place, _ in rows]]
        for name, plain in self._names:
            column = [row[name] for _, row in rows]
            columns.append([json.dumps(value) for value in column] if plain else column)
        return columns


@cache
def _sources() -> tuple[_Source, _Source, _Source, _Source]:
    """Of the keys, the posts, their deliveries and events."""
    keys = _Source(idempotency_keys, KEY, 6)
    one = _Source(posts, POST, keys.end)
    legs = _Source(deliveries, DELIVERY, one.end)
    return keys, one, legs, _Source(events, journal.COLUMNS, legs.end)


@cache
def _statement() -> str:
    """$1: the version, $2: the accounts' ids, $3 to $5: each post's place, token and key."""
    keys, one, legs, told = _sources()
    # `held`: locked in one order, as by everybody. Who changes one of them is waited for, and then
    # its row differs from the one that the statement began with.
    return f"""
        WITH held AS (
            SELECT updated_at FROM accounts WHERE id = ANY($2::varchar[]) ORDER BY id
            FOR KEY SHARE
        ), fits AS (
            SELECT 1 AS one WHERE $1::text IS NULL OR $1::text = ({VERSION})
                AND (SELECT sum(updated_at) FROM held) IS NOT DISTINCT FROM
                    (SELECT sum(updated_at) FROM accounts WHERE id = ANY($2::varchar[]))
        ), kept AS (
            {keys.insert}, fits ORDER BY n.token_id, n.key
            ON CONFLICT DO NOTHING RETURNING token_id, key
        ), won AS (
            SELECT n.place FROM unnest($3::bigint[], $4::varchar[], $5::varchar[])
                AS n(place, token_id, key), fits
            WHERE n.key IS NULL OR (n.token_id, n.key) IN (SELECT token_id, key FROM kept)
        ), posted AS (
            {one.insert} WHERE n.place IN (SELECT place FROM won)
        ), sent AS (
            {legs.insert} WHERE n.place IN (SELECT place FROM won) ORDER BY n.id
        ), told AS (
            {told.insert} WHERE n.place IN (SELECT place FROM won) ORDER BY n.place
        )
        SELECT EXISTS (SELECT one FROM fits) AS fits, ARRAY(SELECT place FROM won) AS won
    """  # noqa: S608 -- names of ours


class _PostgresArrivals:
    def __init__(self, database: Database) -> None:
        self._own = OwnPostgres(database)

    async def add(self, batch: Sequence[Arrival], version: str | None) -> set[int] | None:
        keys, one, legs, told = _sources()
        places = range(len(batch))
        names = sorted({leg["account_id"] for each in batch for leg in each.deliveries})
        asked = [each.kept or _KEYLESS for each in batch]
        parameters = [
            version,
            names,
            places,
            [kept["token_id"] for kept in asked],
            [kept["key"] for kept in asked],
            *keys.parameters((place, row) for place, row in enumerate(asked) if row["key"]),
            *one.parameters((place, each.post) for place, each in enumerate(batch)),
            *legs.parameters(
                (place, leg) for place, each in enumerate(batch) for leg in each.deliveries
            ),
            *told.parameters((place, each.event) for place, each in enumerate(batch)),
        ]
        found = (await self._own.run(_statement(), parameters)).one()
        return set(found.won) if found.fits else None

    async def close(self) -> None:
        await self._own.close()


_KEYLESS: Row = {"token_id": None, "key": None}
