"""Contacts in and out as files: streamed, so that a list of millions needs no memory."""

from __future__ import annotations

import asyncio
import csv
import json
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, Literal

from aiohttp import web
from pydantic import Field
from typing_extensions import TypedDict

from channels.translations import in_language
from scheduler.audience import exporting
from scheduler.audience.headings import MappingError
from scheduler.audience.importing import Importer, Order
from scheduler.audience.rows import BadRow, read_rows
from scheduler.drafts import MediaId, Text
from scheduler.refusals import Refusal, RefusedError, invalid
from scheduler.store import lists
from scheduler.store.tokens import Scope
from scheduler.web.api.shapes import Query
from scheduler.web.api.uploads import FileQuery, received
from scheduler.web.endpoint import Call, Endpoints
from scheduler.web.public import key_of

endpoints = Endpoints("contacts")

BATCH = 1000  # rows a transaction: others want to write too
_SHOWN, _REJECTED = 5, 200
_FILE: dict[str, Any] = {"text/csv": {"schema": {"type": "string", "format": "binary"}}}
_REFUSALS = (Refusal.MEDIA_TYPE, Refusal.TOO_LARGE, Refusal.CONFLICT)


class ExportQuery(Query):
    """Whom, and how written."""

    list: Annotated[str | None, Field(max_length=36)] = None
    format: Literal["jsonl", "csv"] = "jsonl"
    delimiter: Annotated[Literal[",", ";"], Field(description="Of CSV.")] = ","


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
    waiting = (
        [exporting.MARK, exporting.csv_line(exporting.HEADINGS, query.delimiter)] if is_csv else []
    )
    async for one in exporting.people(call.services.database, list_id=query.list):
        waiting.append(
            exporting.csv_line(exporting.csv_fields(one), query.delimiter)
            if is_csv
            else exporting.json_line(one)
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
    async with received(call, query) as (path, shape):
        now = call.services.clock.micros()
        try:
            read = read_rows(path, shape, query.chosen, now=now)
            rows = await asyncio.to_thread(lambda: [row for _, row in islice(read, _SHOWN)])
        except MappingError as error:
            raise invalid("map", str(error)) from error
    return {
        "encoding": shape.encoding,
        "delimiter": shape.delimiter,
        "headings": shape.headings,
        "rows": [
            {"line": row.line, "reason": in_language(row.reason, call.language)}
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
    async with received(call, query) as (path, shape):
        order = Order(
            file=path, shape=shape, list_id=query.list, source=query.source,
            wording=query.wording, chosen=chosen, language=call.language,
        )  # fmt: skip
        await _refuse_unreadable(order, now)
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
        rows = islice(csv.reader(file), 1, 1 + _REJECTED)
        return [dict(zip(("line", "reason", "row"), row, strict=True)) for row in rows]


async def _refuse_unreadable(order: Order, now: int) -> None:
    """While a refusal can still be one: the answer's head is not out."""
    try:
        read = read_rows(order.file, order.shape, order.chosen, now=now)
        await asyncio.to_thread(lambda: list(islice(read, 1)))
    except MappingError as error:
        raise invalid("map", str(error)) from error
