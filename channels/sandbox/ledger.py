"""What exists on a practice platform: an SQLite file that outlives a kill of the process.

The ledger is the judge of the promises: a test compares it with what was accepted. Every write is
committed before the platform answers, as on the real ones.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_SCHEMA = """
CREATE TABLE IF NOT EXISTS entries (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    platform TEXT NOT NULL, account TEXT NOT NULL, kind TEXT NOT NULL,
    remote_id TEXT NOT NULL, key TEXT NOT NULL, text TEXT NOT NULL, payload TEXT NOT NULL,
    created_at REAL NOT NULL, deleted_at REAL,
    UNIQUE (platform, remote_id)
);
CREATE INDEX IF NOT EXISTS entries_by_account ON entries (platform, account, seq);
"""


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that exists (or existed) on a platform. `created_at`: Unix seconds."""

    seq: int
    platform: str
    account: str
    kind: str
    remote_id: str
    key: str
    text: str
    payload: Mapping[str, Any]
    created_at: float
    deleted_at: float | None


class Ledger:
    """All platforms' entries in one file, or in memory when `path` is None."""

    def __init__(self, path: Path | None = None) -> None:
        self._db = sqlite3.connect(
            ":memory:" if path is None else path, isolation_level=None, check_same_thread=False
        )
        self._db.execute("PRAGMA journal_mode=WAL")
        # OFF survives kill -9 of the process, which is what the practice platforms are for.
        self._db.execute("PRAGMA synchronous=OFF")
        self._db.executescript(_SCHEMA)

    def write(
        self,
        platform: str,
        account: str,
        *,
        kind: str,
        remote_id: str,
        text: str,
        key: str = "",
        payload: Mapping[str, Any] | None = None,
    ) -> Entry:
        """Record something that now exists. Error: ValueError if the id is taken."""
        now = time.time()
        try:
            cursor = self._db.execute(
                "INSERT INTO entries (platform, account, kind, remote_id, key, text, payload,"
                " created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (platform, account, kind, remote_id, key, text, json.dumps(payload or {}), now),
            )
        except sqlite3.IntegrityError as error:
            raise ValueError(f"{platform} already has {remote_id}") from error
        return Entry(
            cursor.lastrowid or 0, platform, account, kind, remote_id, key, text,
            payload or {}, now, None,
        )  # fmt: skip

    def next_number(self) -> int:
        """A number no entry has had yet, for platforms with numeric ids."""
        (highest,) = self._db.execute("SELECT coalesce(max(seq), 0) FROM entries").fetchone()
        return int(highest) + 1

    def get(self, platform: str, remote_id: str) -> Entry | None:
        """The entry with this id, deleted ones included."""
        row = self._db.execute(
            "SELECT * FROM entries WHERE platform = ? AND remote_id = ?", (platform, remote_id)
        ).fetchone()
        return None if row is None else _entry(row)

    def update(
        self, platform: str, remote_id: str, *, text: str, payload: Mapping[str, Any]
    ) -> None:
        self._db.execute(
            "UPDATE entries SET text = ?, payload = ? WHERE platform = ? AND remote_id = ?",
            (text, json.dumps(payload), platform, remote_id),
        )

    def delete(self, platform: str, remote_id: str) -> bool:
        cursor = self._db.execute(
            "UPDATE entries SET deleted_at = ? WHERE platform = ? AND remote_id = ?"
            " AND deleted_at IS NULL",
            (time.time(), platform, remote_id),
        )
        return cursor.rowcount > 0

    def entries(
        self,
        platform: str,
        account: str | None = None,
        *,
        kind: str | None = None,
        deleted: bool = False,
        newest: int = 0,
        before: int | None = None,
    ) -> list[Entry]:
        """What exists, oldest first; with `newest`, only that many, newest first. `before`: only
        what has a lower `seq` (paging)."""
        wanted = {"platform =": platform, "account =": account, "kind =": kind, "seq <": before}
        given = {test: value for test, value in wanted.items() if value is not None}
        where = " AND ".join(f"{test} ?" for test in given)
        where += "" if deleted else " AND deleted_at IS NULL"
        args = list(given.values())
        order = f"DESC LIMIT {int(newest)}" if newest else "ASC"
        rows = self._db.execute(
            f"SELECT * FROM entries WHERE {where} ORDER BY seq {order}",  # noqa: S608 -- no outside text
            args,
        )
        return [_entry(row) for row in rows]

    def close(self) -> None:
        self._db.close()


def _entry(row: tuple[Any, ...]) -> Entry:
    seq, platform, account, kind, remote_id, key, text, payload, created_at, deleted_at = row
    return Entry(
        seq, platform, account, kind, remote_id, key, text, json.loads(payload), created_at,
        deleted_at,
    )  # fmt: skip
