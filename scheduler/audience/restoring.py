"""A copy of the audience back into an empty one: the same people, proof and never-again list.

Who was erased since, in this database, is not brought back.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from scheduler.audience.links import audience_key
from scheduler.audience.sealing import KIND, SealError
from scheduler.audience.suppression import fingerprint
from scheduler.store import copies
from scheduler.store.db import Connection, Database

_BATCH = 1000
_BELONGS: Mapping[str, Mapping[str, str]] = {
    "addresses": {"contact_id": "contacts"},
    "memberships": {"contact_id": "contacts", "list_id": "lists"},
    "consents": {"contact_id": "contacts"},
}


async def restore(
    database: Database, lines: Iterable[Mapping[str, Any]], *, data_dir: Path, configured_key: str
) -> dict[str, int]:
    """Put everything back in one transaction; how many rows of each kind.

    Errors: SealError for a copy that is none or not whole, or where somebody is already.
    """
    each = iter(lines)
    head = next(each, {})
    if head.get("copy") != KIND:
        raise SealError("this is no copy of an audience")
    key = str(head["audience_key"])
    async with database.write() as connection:
        await _refuse_others(connection, key, data_dir, configured_key)
        counts = await _Restoration(database, connection, key.encode("latin-1")).take(each)
        if not configured_key:
            _keep_key(data_dir, key)
    return counts


async def _refuse_others(
    connection: Connection, key: str, data_dir: Path, configured_key: str
) -> None:
    if await copies.anybody(connection):
        raise SealError("there are contacts already: a copy goes into an empty audience")
    here = configured_key or _own_key(data_dir)
    if here and here != key and (configured_key or await copies.barred(connection)):
        raise SealError(
            "the copy was made with another audience key, and the never-again list here would bar"
            " nobody: restore into a new data directory, without ESTAFETTE_AUDIENCE_KEY"
        )


def _own_key(data_dir: Path) -> str:
    path = data_dir / "audience.key"
    return audience_key("", data_dir).decode("latin-1") if path.exists() else ""


def _keep_key(data_dir: Path, key: str) -> None:
    path = data_dir / "audience.key"
    if _own_key(data_dir) == key:
        return
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(key.encode("latin-1"))
        file.flush()
        os.fsync(file.fileno())
    fresh.rename(path)


class _Restoration:
    """One transaction's work."""

    def __init__(self, database: Database, connection: Connection, key: bytes) -> None:
        self._database, self._connection, self._key = database, connection, key
        self._erased: set[str] = set()
        self._left_out: set[str] = set()

    async def take(self, lines: Iterable[Mapping[str, Any]]) -> dict[str, int]:
        self._erased = await copies.erased(self._connection)
        counts = dict.fromkeys(copies.TABLES, 0)
        waiting: list[dict[str, Any]] = []
        name, end = "", None
        for line in lines:
            if "end" in line:
                end = line["end"]
                break
            if line["table"] != name or len(waiting) >= _BATCH:
                await self._put(name, waiting)
                name, waiting = line["table"], []
            counts[name] += 1
            waiting.append(line["row"])
        await self._put(name, waiting)
        if end != counts:
            raise SealError("the copy is not whole: it ends before its last line")
        return {**counts, "left_out": len(self._left_out)}

    async def _put(self, name: str, some: list[dict[str, Any]]) -> None:
        if name == "contacts":
            self._left_out.update(row["id"] for row in some if self._gone(row["email"]))
            some = [row for row in some if row["id"] not in self._left_out]
        # A copy is read while people come: who came late has rows of theirs in it, and no contact.
        for column, table in _BELONGS.get(name, {}).items():
            ids = {row[column] for row in some}
            known = await copies.there(self._database, self._connection, table, ids)
            some = [row for row in some if row[column] in known]
        if some:
            await copies.put(self._database, self._connection, name, some)

    def _gone(self, email: str | None) -> bool:
        return bool(email) and fingerprint(self._key, str(email)) in self._erased
