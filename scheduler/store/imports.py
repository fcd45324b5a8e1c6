"""Imports: a batch of people and how far the import has come, in one transaction."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import uuid_utils
from sqlalchemy import TextClause, select, text, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from scheduler.store.audience import Action, Standing
from scheduler.store.audience_tables import imports
from scheduler.store.db import Database

_TRIES = 5


async def progress(connection: AsyncConnection, import_id: str) -> dict[str, Any] | None:
    """How far an unfinished import has come; None when there is none."""
    statement = select(imports.c.progress).where(
        imports.c.id == import_id, imports.c.finished_at.is_(None)
    )
    found: dict[str, Any] | None = (await connection.execute(statement)).scalar_one_or_none()
    return found


async def begin(
    connection: AsyncConnection, database: Database, *, import_id: str, list_id: str, now: int
) -> None:
    """Note that an import begins, or begins again."""
    row = {
        "id": import_id, "list_id": list_id, "progress": {}, "started_at": now,
        "updated_at": now, "finished_at": None,
    }  # fmt: skip
    await connection.execute(
        database.insert(imports).values(row).on_conflict_do_update(index_elements=["id"], set_=row)
    )


async def finish(connection: AsyncConnection, import_id: str, *, now: int) -> None:
    await connection.execute(
        update(imports).where(imports.c.id == import_id).values(finished_at=now)
    )


@dataclass(frozen=True, slots=True)
class Entry:
    """One person of a batch. `hash`: the keyed hash of their address; times are microseconds."""

    email: str
    hash: str
    name: str
    language: str
    attributes: Mapping[str, str]
    tags: Sequence[str]
    consent_source: str
    consent_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What everyone of an import agreed to."""

    form: str
    wording: str
    wording_version: str


async def store(
    database: Database,
    *,
    import_id: str,
    list_id: str,
    entries: Mapping[str, Entry],
    proof: Proof,
    before: Mapping[str, int],
    now: int,
) -> dict[str, int]:
    """Put people (by address) on the list; the progress with their counts added, as it is stored.

    Who is barred stays out, who is known keeps what we know of them, and where they stand with
    the list. A batch that meets somebody who signs up at that very moment is stored again.
    """
    for attempt in range(_TRIES):
        try:
            async with database.write() as connection:
                batch = _Batch(database, connection, list_id, proof, now)
                counts = await batch.put(entries) if entries else {}
                after = dict(before)
                for name, count in counts.items():
                    after[name] = after.get(name, 0) + count
                await connection.execute(
                    update(imports)
                    .where(imports.c.id == import_id)
                    .values(progress=after, updated_at=now)
                )
                return after
        except IntegrityError:
            if attempt == _TRIES - 1:
                raise
    raise AssertionError("unreachable: the last try returns or raises")


# One statement for a whole batch, whose rows come as one JSON array: the databases take it apart
# in C, which costs a fifth of binding every value of every row.
_SQLITE = {
    "barred": "SELECT hash FROM suppressions WHERE hash IN (SELECT value FROM json_each(:rows))",
    "known": "SELECT email, id FROM contacts WHERE email IN (SELECT value FROM json_each(:rows))",
    "standing": "SELECT contact_id, state FROM memberships WHERE list_id = :list_id"
    " AND contact_id IN (SELECT value FROM json_each(:rows))",
    "each": "json_each(:rows)",
    "text": "json_extract(value, '$[{}]')",
    "json": "json_extract(value, '$[{}]')",
    "number": "json_extract(value, '$[{}]')",
}
_POSTGRESQL = {
    "barred": "SELECT hash FROM suppressions"
    " WHERE hash = ANY(ARRAY(SELECT json_array_elements_text(CAST(:rows AS json))))",
    "known": "SELECT email, id FROM contacts"
    " WHERE email = ANY(ARRAY(SELECT json_array_elements_text(CAST(:rows AS json))))",
    "standing": "SELECT contact_id, state FROM memberships WHERE list_id = :list_id"
    " AND contact_id = ANY(ARRAY(SELECT json_array_elements_text(CAST(:rows AS json))))",
    "each": "json_array_elements(CAST(:rows AS json)) AS one(value)",
    "text": "value ->> {}",
    "json": "value -> {}",
    "number": "CAST(value ->> {} AS bigint)",
}


def _statements(way: Mapping[str, str]) -> dict[str, TextClause]:
    word, tree, number = (way[kind].format for kind in ("text", "json", "number"))
    return {
        **{name: text(way[name]) for name in ("barred", "known", "standing")},
        "contacts": text(
            "INSERT INTO contacts"  # noqa: S608 -- our own words
            " (id, email, name, language, attributes, tags, created_at, updated_at)"
            f" SELECT {word(0)}, {word(1)}, {word(2)}, {word(3)}, {tree(4)}, {tree(5)},"
            f" CAST(:now AS bigint), CAST(:now AS bigint) FROM {way['each']}"
        ),
        "memberships": text(
            "INSERT INTO memberships (list_id, contact_id, state, since)"  # noqa: S608
            f" SELECT CAST(:list_id AS text), {word(0)}, '{Standing.SUBSCRIBED}',"
            f" CAST(:now AS bigint) FROM {way['each']}"
        ),
        "consents": text(
            "INSERT INTO consents (contact_id, list_id, action, form, wording, wording_version,"  # noqa: S608
            " source, at, confirmed_at)"
            f" SELECT {word(0)}, CAST(:list_id AS text), '{Action.IMPORT}', CAST(:form AS text),"
            " CAST(:wording AS text), CAST(:wording_version AS text),"
            f" {word(1)}, {number(2)}, {number(2)} FROM {way['each']}"
        ),
    }


# S608: only the words of `_SQLITE` and `_POSTGRESQL` are put into them.
_ON_SQLITE, _ON_POSTGRESQL = _statements(_SQLITE), _statements(_POSTGRESQL)


class _Batch:
    """One transaction's work."""

    def __init__(
        self,
        database: Database,
        connection: AsyncConnection,
        list_id: str,
        proof: Proof,
        now: int,
    ) -> None:
        self._connection = connection
        self._statements = _ON_POSTGRESQL if database.is_postgresql else _ON_SQLITE
        self._list_id, self._proof, self._now = list_id, proof, now

    async def put(self, entries: Mapping[str, Entry]) -> dict[str, int]:
        """Store them; how many of each kind there were."""
        rows = await self._run("barred", [one.hash for one in entries.values()])
        barred = {row[0] for row in rows}
        welcome = [one for one in entries.values() if one.hash not in barred]
        known = {row[0]: row[1] for row in await self._run("known", [o.email for o in welcome])}
        ids = {one.email: known.get(one.email) or str(uuid_utils.uuid7()) for one in welcome}
        fresh = [
            (ids[one.email], one.email, one.name, one.language, one.attributes, one.tags)
            for one in welcome
            if one.email not in known
        ]
        if fresh:
            await self._run("contacts", fresh, now=self._now)
        standing = await self._standing(list(known.values()))
        joining = [
            (ids[one.email], one.consent_source, one.consent_at)
            for one in welcome
            if ids[one.email] not in standing
        ]
        await self._join(joining)
        left = sum(state == Standing.UNSUBSCRIBED for state in standing.values())
        return {
            "new": len(fresh),
            "added": len(joining),
            "barred": len(entries) - len(welcome),
            "left": left,
            "there": len(standing) - left,
        }

    async def _standing(self, contact_ids: Sequence[str]) -> dict[str, str]:
        if not contact_ids:
            return {}
        rows = await self._run("standing", contact_ids, list_id=self._list_id)
        return {row[0]: row[1] for row in rows}

    async def _join(self, joining: Sequence[tuple[str, str, int]]) -> None:
        if joining:
            await self._run("memberships", joining, list_id=self._list_id, now=self._now)
            await self._run("consents", joining, list_id=self._list_id, **asdict(self._proof))

    async def _run(self, name: str, rows: Sequence[Any], **values: Any) -> Any:
        told = json.dumps(rows, ensure_ascii=False, separators=(",", ":"))
        return await self._connection.execute(self._statements[name], {"rows": told, **values})
