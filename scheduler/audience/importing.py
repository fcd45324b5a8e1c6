"""Import of a CSV file into a list: streamed, in batches, and resumed where it was killed.

How far it has come is committed with the rows it speaks of. Rows that cannot be taken go, with
line and reason, into a report beside the file, which is on disk before the batch is.
"""

from __future__ import annotations

import asyncio
import csv
import io
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from channels.translations import in_language
from scheduler.audience.rows import BadRow, Person, read_rows
from scheduler.audience.shape import Shape
from scheduler.audience.suppression import fingerprint
from scheduler.audience.wording import version_of
from scheduler.clock import Clock
from scheduler.store import imports
from scheduler.store.db import Database
from scheduler.store.imports import Entry, Proof

BATCH = 5000
_HEADINGS: Mapping[str, Sequence[str]] = {
    "en": ("line", "reason", "row"),
    "fr": ("ligne", "raison", "contenu"),
}
COUNTS = ("rows", "bad", "repeated", "new", "added", "barred", "left", "there")


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What to import, and what its people agreed to. `source`: where the addresses are from;
    `chosen`: meanings of headings by their owner's word; `language`: of the report."""

    file: Path
    shape: Shape
    list_id: str
    source: str
    wording: str = ""
    chosen: Mapping[str, str] = field(default_factory=dict)
    language: str = "en"

    @property
    def id(self) -> str:
        """The same file into the same list, read in the same way, is the same import."""
        said = repr((self.shape, self.list_id, sorted(self.chosen.items())))
        return blake2b(said.encode(), digest_size=16).hexdigest()

    @property
    def report(self) -> Path:
        """Where rows that were not taken are told."""
        return self.file.with_name(f"{self.file.name}.rejected.csv")


@dataclass(frozen=True, slots=True)
class _Batch:
    """Some rows made ready: `rows` read so far in all, and what they are."""

    rows: int
    bad: int
    repeated: int
    entries: Mapping[str, Entry]
    now: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Importer:
    """Carries out orders. `key`: of the never-again list; `told` hears of the counts after each
    batch."""

    database: Database
    clock: Clock
    key: bytes
    batch: int = BATCH
    told: Callable[[Mapping[str, int]], None] = lambda _counts: None

    async def run(self, order: Order) -> dict[str, int]:
        """The counts: `rows` read; `added` to the list, of them `new` people; `there` before;
        `left`, who had unsubscribed; `barred`; `bad`; `repeated`. Errors: OSError, MappingError."""
        counts = await self._begin(order)
        with order.report.open("r+b" if order.report.exists() else "w+b") as report:
            _rewind(report, counts.get("report", 0), order.language)
            rows = read_rows(
                order.file, order.shape, order.chosen,
                now=self.clock.micros(), skip=counts.get("rows", 0),
            )  # fmt: skip
            # Parsing and hashing a batch take a tenth of a second: others have the loop meanwhile.
            while batch := await asyncio.to_thread(self._next, order, rows, report):
                counts = await self._store(order, batch, counts, report)
                self.told(counts)
        async with self.database.write() as connection:
            await imports.finish(connection, order.id, now=self.clock.micros())
        if not counts.get("bad"):
            order.report.unlink()
        return {**dict.fromkeys(COUNTS, 0), **counts}

    async def _begin(self, order: Order) -> dict[str, int]:
        async with self.database.write() as connection:
            known = await imports.progress(connection, order.id)
            if known is not None:
                return known
            await imports.begin(
                connection,
                self.database,
                import_id=order.id,
                list_id=order.list_id,
                now=self.clock.micros(),
            )
        return {}

    def _next(
        self, order: Order, rows: Iterator[tuple[int, Person | BadRow]], report: BinaryIO
    ) -> _Batch | None:
        """What to store next, its bad rows told; None at the end."""
        some = list(islice(rows, self.batch))
        if not some:
            return None
        now = self.clock.micros()
        bad = [row for _, row in some if isinstance(row, BadRow)]
        _tell(report, bad, order.language)
        entries: dict[str, Entry] = {}
        for _, row in some:
            if isinstance(row, Person) and row.email not in entries:
                entries[row.email] = self._entry(row, order.source, now)
        repeated = len(some) - len(bad) - len(entries)
        return _Batch(some[-1][0], len(bad), repeated, entries, now)

    async def _store(
        self, order: Order, batch: _Batch, counts: dict[str, int], report: BinaryIO
    ) -> dict[str, int]:
        before = {
            **counts,
            "rows": batch.rows,
            "bad": counts.get("bad", 0) + batch.bad,
            "repeated": counts.get("repeated", 0) + batch.repeated,
            "report": report.tell(),
        }
        return await imports.store(
            self.database,
            import_id=order.id,
            list_id=order.list_id,
            entries=batch.entries,
            proof=Proof(
                form=order.file.name,
                wording=order.wording,
                wording_version=version_of(order.wording) if order.wording else "",
            ),
            before=before,
            now=batch.now,
        )

    def _entry(self, row: Person, source: str, now: int) -> Entry:
        return Entry(
            row.email,
            fingerprint(self.key, row.email),
            row.name,
            row.language,
            row.attributes,
            row.tags,
            row.consent_source or source,
            now if row.consent_at is None else row.consent_at,
        )


def _rewind(report: BinaryIO, size: int, language: str) -> None:
    """Forget what was told of a batch that was never committed; begin anew where the report of
    before is gone, or the file has another name now."""
    if report.seek(0, os.SEEK_END) < size:
        size = 0
    report.truncate(size)
    report.seek(size)
    if size == 0:
        _write(report, [_HEADINGS.get(language, _HEADINGS["en"])])


def _tell(report: BinaryIO, bad: list[BadRow], language: str) -> None:
    """On disk when it returns: how long the report is will be committed."""
    if bad:
        told = [
            (row.line, in_language(row.reason, language), " | ".join(row.fields)) for row in bad
        ]
        _write(report, told)
    report.flush()
    os.fsync(report.fileno())


def _write(report: BinaryIO, rows: list[Any]) -> None:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    report.write(text.getvalue().encode())
