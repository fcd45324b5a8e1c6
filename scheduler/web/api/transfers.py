"""Contacts in and out as files: streamed, so that a list of millions needs no memory."""

from __future__ import annotations

import asyncio
import csv
import json
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, Literal

from aiohttp import web
from pydantic import Field
from typing_extensions import TypedDict

from scheduler.audience import exporting
from scheduler.audience.headings import MappingError
from scheduler.audience.importing import Importer, Order
from scheduler.audience.rows import BadRow, Shape, read_rows, shape_of
from scheduler.drafts import MediaId, Text
from scheduler.refusals import FieldError, Refusal, RefusedError, conflict, invalid
from scheduler.store import lists
from scheduler.store.tokens import Scope
from scheduler.web.api.shapes import Query
from scheduler.web.endpoint import Call, Endpoints
from scheduler.web.public import key_of

endpoints = Endpoints("contacts")

LARGEST = 1 << 30  # bytes of a file
BATCH = 1000  # rows a transaction: others want to write too
KEPT = 7 * 24 * 3600  # seconds that a report waits for its file to be sent again
_SHOWN, _REJECTED = 5, 200
_FILE: dict[str, Any] = {"text/csv": {"schema": {"type": "string", "format": "binary"}}}
_REFUSALS = (Refusal.MEDIA_TYPE, Refusal.TOO_LARGE, Refusal.CONFLICT)
_under_way: set[str] = set()


class ExportQuery(Query):
    """Whom, and how written."""

    list: Annotated[str | None, Field(max_length=36)] = None
    format: Literal["jsonl", "csv"] = "jsonl"


class FileQuery(Query):
    """How to read the file; all of it is guessed by looking."""

    name: Annotated[
        str,
        Field(max_length=100, pattern=r"^[\w(][\w .()-]*$", description="Kept with the evidence."),
    ] = "upload.csv"
    map: Annotated[
        list[str] | str,
        Field(description="HEADING=MEANING; repeatable. email, name, …, an attribute, or ignore."),
    ] = []  # noqa: RUF012 -- pydantic copies it
    delimiter: Annotated[str, Field(max_length=1)] = ""
    encoding: Literal["", "utf-8", "utf-8-sig", "utf-16", "cp1252", "iso-8859-15"] = ""

    @property
    def chosen(self) -> dict[str, str]:
        """Meanings by heading. Error: RefusedError."""
        pairs = [self.map] if isinstance(self.map, str) else self.map
        found = {}
        for pair in pairs:
            heading, equals, meaning = pair.rpartition("=")
            if not equals:
                raise invalid("map", f"{pair!r} maps nothing", "write HEADING=MEANING")
            found[heading] = meaning
        return found


class ImportQuery(FileQuery):
    """Where the people go, and the proof that you may write to them."""

    list: MediaId
    source: Annotated[Text, Field(min_length=1, max_length=500, description="Where from.")]
    wording: Annotated[Text, Field(max_length=2000, description="Word for word.")] = ""


class PreviewAnswer(TypedDict):
    """How a file would be read: its first rows as people, or why not."""

    encoding: str
    delimiter: str
    headings: list[str]
    rows: list[dict[str, Any]]


@endpoints.get("/contacts/export", scope=Scope.READ, media_type="application/x-ndjson")
async def export(call: Call, query: ExportQuery) -> web.StreamResponse:
    """Everybody, with lists and evidence: JSON lines hold everything, CSV is for spreadsheets."""
    if query.list is not None and query.list not in await call.services.roster.everyone():
        async with call.services.database.read() as connection:
            if await lists.get(connection, query.list) is None:
                raise _unknown(query.list)
    is_csv = query.format == "csv"
    response = web.StreamResponse()
    response.content_type = "text/csv" if is_csv else "application/x-ndjson"
    response.charset = "utf-8"
    response.headers["Content-Disposition"] = f'attachment; filename="contacts.{query.format}"'
    response.headers["Cache-Control"] = "no-store"
    await response.prepare(call.request)
    waiting = [exporting.csv_line(exporting.HEADINGS)] if is_csv else []
    async for one in exporting.people(call.services.database, list_id=query.list):
        waiting.append(
            exporting.csv_line(exporting.csv_fields(one)) if is_csv else exporting.json_line(one)
        )
        if len(waiting) >= _REJECTED:
            await response.write("".join(waiting).encode())
            waiting.clear()
    await response.write("".join(waiting).encode())
    await response.write_eof()
    return response


@endpoints.post(
    "/contacts/import/preview", scope=Scope.WRITE, request_body=_FILE, refusals=_REFUSALS
)
async def preview(call: Call, query: FileQuery) -> PreviewAnswer:
    """How a CSV file would be read; the beginning of it is enough. Nothing is stored."""
    async with _received(call, query) as (path, shape):
        try:
            rows = await asyncio.to_thread(
                lambda: [row for _, row in islice(read_rows(path, shape, query.chosen), _SHOWN)]
            )
        except MappingError as error:
            raise invalid("map", str(error)) from error
    return {
        "encoding": shape.encoding,
        "delimiter": shape.delimiter,
        "headings": shape.headings,
        "rows": [
            {"line": row.line, "reason": row.reason}
            if isinstance(row, BadRow)
            else {
                "line": row.line,
                "email": row.email,
                "name": row.name,
                "language": row.language,
                "tags": row.tags,
                "attributes": row.attributes,
            }
            for row in rows
        ],
    }


@endpoints.post(
    "/contacts/import",
    scope=Scope.WRITE,
    request_body=_FILE,
    refusals=_REFUSALS,
    media_type="application/x-ndjson",
)
async def import_(call: Call, query: ImportQuery) -> web.StreamResponse:
    """Put the people of a CSV file on a list. The answer is a line of counts after each batch; the
    last one has `done` and the first rows that were not taken. Broken off, the same file sent
    again goes on where it was."""
    services = call.services
    async with services.database.write() as connection:
        now = services.clock.micros()
        if await lists.find(connection, services.database, query.list, now=now) is None:
            raise _unknown(query.list)
    chosen = query.chosen
    async with _received(call, query) as (path, shape):
        order = Order(
            file=path, shape=shape, list_id=query.list, source=query.source,
            wording=query.wording, chosen=chosen,
        )  # fmt: skip
        await _refuse_unreadable(order)
        response = web.StreamResponse()
        response.content_type = "application/x-ndjson"
        await response.prepare(call.request)
        told: asyncio.Queue[Mapping[str, int]] = asyncio.Queue()
        importer = Importer(
            database=services.database, clock=services.clock, key=key_of(services), batch=BATCH,
            told=told.put_nowait,
        )  # fmt: skip
        running = asyncio.create_task(importer.run(order))
        try:
            await _tell(response, running, told)
            counts = await running
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
        rejected = _rejected(order.report)
        order.report.unlink(missing_ok=True)
        await _say(response, {"done": True, **_shown(counts), "rejected": rejected})
        await response.write_eof()
        return response


def _unknown(list_id: str) -> RefusedError:
    return invalid("list", f"there is no list {list_id!r}", "see GET /api/v1/lists")


async def _tell(
    response: web.StreamResponse,
    running: asyncio.Task[dict[str, int]],
    told: asyncio.Queue[Mapping[str, int]],
) -> None:
    """Pass on the counts until it is done. Whoever asked may go away: the error ends it."""
    while not running.done() or not told.empty():
        news = asyncio.create_task(told.get())
        await asyncio.wait({running, news}, return_when=asyncio.FIRST_COMPLETED)
        if news.done():
            await _say(response, _shown(news.result()))
        else:
            news.cancel()


async def _say(response: web.StreamResponse, said: Mapping[str, Any]) -> None:
    await response.write(json.dumps(said, ensure_ascii=False).encode() + b"\n")


def _shown(counts: Mapping[str, int]) -> dict[str, int]:
    return {name: count for name, count in counts.items() if name != "report"}


def _rejected(report: Path) -> list[dict[str, str]]:
    if not report.exists():
        return []
    with report.open(encoding="utf-8", newline="") as file:
        return list(islice(csv.DictReader(file), _REJECTED))


async def _refuse_unreadable(order: Order) -> None:
    """While a refusal can still be one: the answer's head is not out."""
    try:
        await asyncio.to_thread(
            lambda: list(islice(read_rows(order.file, order.shape, order.chosen), 1))
        )
    except MappingError as error:
        raise invalid("map", str(error)) from error


def tidy(imports: Path) -> None:
    """Remove what a kill, or somebody who never came back, left behind: it holds addresses."""
    old = time.time() - KEPT
    for one in imports.iterdir() if imports.exists() else ():
        with suppress(OSError):  # another process of ours was faster
            if one.name not in _under_way and one.stat().st_mtime < old:
                shutil.rmtree(one)


@asynccontextmanager
async def _received(call: Call, query: FileQuery) -> AsyncIterator[tuple[Path, Shape]]:
    """The body as a file, gone afterwards; its report stays for whoever sends it again."""
    if call.request.content_type not in {"text/csv", "application/octet-stream"}:
        sent = call.request.content_type
        raise RefusedError(
            Refusal.MEDIA_TYPE,
            f"the body is {sent}",
            [FieldError("Content-Type", f"is {sent}", "send the file itself as text/csv")],
        )
    imports = call.services.settings.data_dir / "imports"
    imports.mkdir(mode=0o700, exist_ok=True)
    await asyncio.to_thread(tidy, imports)
    with tempfile.TemporaryDirectory(dir=imports) as place:
        upload = Path(place) / "upload"
        await _write(call.request, upload)
        shape = await _shape(upload, query)
        if shape.digest in _under_way:
            raise conflict("this very file is being read already", "wait for it")
        _under_way.add(shape.digest)
        try:
            home = imports / shape.digest
            home.mkdir(mode=0o700, exist_ok=True)
            path = upload.rename(home / query.name)
            try:
                yield path, shape
            finally:
                path.unlink(missing_ok=True)
                if not any(home.iterdir()):
                    shutil.rmtree(home, ignore_errors=True)
        finally:
            _under_way.discard(shape.digest)


async def _write(request: web.Request, path: Path) -> None:
    size = 0
    with path.open("wb") as file:
        async for block in request.content.iter_chunked(1 << 18):
            size += len(block)
            if size > LARGEST:
                raise RefusedError(Refusal.TOO_LARGE, f"the file has more than {LARGEST} bytes")
            await asyncio.to_thread(file.write, block)


async def _shape(path: Path, query: FileQuery) -> Shape:
    try:
        return await asyncio.to_thread(
            lambda: shape_of(path, delimiter=query.delimiter, encoding=query.encoding)
        )
    except (MappingError, UnicodeError, csv.Error) as error:
        raise invalid("body", f"this is no CSV file: {error}", "send one with headings") from error
