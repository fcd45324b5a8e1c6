"""What many sends came to, in one transaction that costs one trip to the database.

Each delivery is fenced by its token; its attempt and its event say whether the token still held.
A spike is made of these: on PostgreSQL a statement costs a round trip, on SQLite two hops between
threads. Here a group is one statement there, and one call of a thread here.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from operator import itemgetter
from typing import Any, NamedTuple, Protocol

from scheduler.changes import Change
from scheduler.store import completions
from scheduler.store import events as journal
from scheduler.store.bulk import columns_of, kind_of
from scheduler.store.db import Connection, Database
from scheduler.store.events import STALE, Event
from scheduler.store.own import Execute, OwnPostgres, OwnSqlite
from scheduler.store.tables import attempts, deliveries, events


class Ended(NamedTuple):
    """One attempt. `change`: None when another road is looked for first. `attempt` (without
    `stale`) and `event` are as they read while the token holds."""

    change: Change | None
    attempt: dict[str, Any]
    event: Event

    def stale(self, changed: set[str]) -> bool:
        """Whether its lease was lost, knowing which deliveries were changed."""
        return self.change is not None and self.change.delivery.id not in changed


class Outcomes(Protocol):
    """Errors: whatever the driver raises."""

    async def write(self, ended: Sequence[Ended], now: int) -> set[str]:
        """Durable on return; the ids of the deliveries that were changed."""
        ...

    async def close(self) -> None: ...


def open_outcomes(database: Database) -> Outcomes:
    """For this database; it connects when first used. One task at a time."""
    return _PostgresOutcomes(database) if database.is_postgresql else _SqliteOutcomes(database)


async def write_in(connection: Connection, ended: Sequence[Ended], now: int) -> set[str]:
    """The same within a transaction that writes other things, too."""
    changes = [one.change for one in ended if one.change is not None]
    changed = await completions.write_changes(connection, changes, now)
    tried, lines = _noted(ended, changed)
    await completions.write_attempts(connection, tried)
    await journal.append(connection, lines)
    return changed


def _noted(ended: Sequence[Ended], changed: set[str]) -> tuple[list[dict[str, Any]], list[Event]]:
    tried: list[dict[str, Any]] = []
    lines: list[Event] = []
    for one in ended:
        lost = one.stale(changed)
        tried.append({**one.attempt, "stale": lost})
        lines.append({**one.event, "kind": STALE} if lost else one.event)
    return tried, lines


class _SqliteOutcomes:
    def __init__(self, database: Database) -> None:
        self._own = OwnSqlite(database, "outcomes")

    async def write(self, ended: Sequence[Ended], now: int) -> set[str]:
        changes = [one.change for one in ended if one.change is not None]
        rows = (json.dumps([completions.fenced(change, now) for change in changes]),)

        def work(run: Execute) -> set[str]:
            changed = {change.delivery.id for change in changes}
            run("SAVEPOINT unfenced")
            if run(completions.fences.sqlite_update, rows).rowcount < len(changes):
                # Some were lost; which ones is told by the rows as they were.
                run("ROLLBACK TO unfenced")
                (held,) = run(completions.fences.sqlite_held, rows).fetchone()
                changed = set(json.loads(held))
                run(completions.fences.sqlite_update, rows)
            tried, lines = _noted(ended, changed)
            run(*completions.inserts.sqlite(columns_of(tried, completions.ATTEMPT)))
            run(*journal.inserts.sqlite(columns_of(lines, journal.COLUMNS)))
            return changed

        return await self._own.write(work)

    async def close(self) -> None:
        await self._own.close()


_NOTED = tuple(name for name in completions.ATTEMPT if name not in ("delivery_id", "stale"))
_TOLD = tuple(name for name in journal.COLUMNS if name != "delivery_id")
_DATA = ("evidence", "data")


@cache
def _statement() -> str:
    """$1 to $n: arrays, a column each; the last: now."""
    kinds = [
        "varchar", "boolean",
        *(kind_of(deliveries, name) for name in completions.NEW),
        *(kind_of(attempts, name) for name in _NOTED),
        *(kind_of(events, name) for name in _TOLD),
    ]  # fmt: skip
    names = [
        "id",
        "moved",
        *completions.NEW,
        *(f"a_{n}" for n in _NOTED),
        *(f"e_{n}" for n in _TOLD),
    ]
    arrays = ", ".join(f"${place}::{kind}[]" for place, kind in enumerate(kinds, 1))
    now = f"${len(kinds) + 1}::bigint"
    new = ", ".join(f"{name} = n.{name}" for name in completions.NEW)
    lost = "(NOT n.moved AND n.place <> ALL (ARRAY(SELECT place FROM changed)))"

    def taken(prefix: str, some: Sequence[str]) -> str:
        return ", ".join(f"n.{prefix}{n}" + ("::json" if n in _DATA else "") for n in some)

    told = taken("e_", _TOLD).replace(
        "n.e_kind", f"CASE WHEN {lost} THEN '{STALE}' ELSE n.e_kind END"
    )
    # `held`: locked in one order, whoever updates: two batches that share rows would deadlock.
    # Nothing is joined to it: the plan that PostgreSQL keeps would compare each with each.
    return f"""
        WITH n AS (
            SELECT * FROM unnest({arrays}) WITH ORDINALITY AS n({", ".join(names)}, place)
        ), held AS (
            SELECT id FROM deliveries WHERE id = ANY($1::varchar[]) ORDER BY id FOR UPDATE
        ), changed AS (
            UPDATE deliveries AS d
            SET {new}, updated_at = {now}, token = NULL, worker = NULL, lease_until = NULL
            FROM n
            WHERE d.id = n.id AND d.token IS NOT DISTINCT FROM n.a_token AND NOT n.moved
                AND (SELECT count(*) FROM held) > 0
            RETURNING n.place, d.id
        ), noted AS (
            INSERT INTO attempts (delivery_id, {", ".join(_NOTED)}, stale)
            SELECT n.id, {taken("a_", _NOTED)}, {lost}
            FROM n ORDER BY n.place
        ), told AS (
            INSERT INTO events (delivery_id, {", ".join(_TOLD)})
            SELECT n.id, {told}
            FROM n ORDER BY n.place
        )
        SELECT id FROM changed
    """  # noqa: S608 -- names of ours


_UNCHANGED = (None,) * len(completions.NEW)
_new = itemgetter(*completions.NEW)
_noted_of = itemgetter(*_NOTED)
_told_of = itemgetter(*_TOLD)


def _row(one: Ended) -> tuple[Any, ...]:
    change, attempt, line = one
    noted = {**attempt, "evidence": json.dumps(attempt["evidence"])}
    told = {**line, "data": json.dumps(line["data"])}
    new = _UNCHANGED if change is None else _new(change.columns)
    return (noted["delivery_id"], change is None, *new, *_noted_of(noted), *_told_of(told))


class _PostgresOutcomes:
    def __init__(self, database: Database) -> None:
        self._own = OwnPostgres(database)

    async def write(self, ended: Sequence[Ended], now: int) -> set[str]:
        changed = await self._own.run(_statement(), (*zip(*map(_row, ended), strict=True), now))
        return {row[0] for row in changed}

    async def close(self) -> None:
        await self._own.close()
