"""Files that are sent to be read: kept while they are, and gone afterwards."""

from __future__ import annotations

import asyncio
import csv
import shutil
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Annotated, Literal

from aiohttp import web
from pydantic import Field

from scheduler.audience.headings import MappingError
from scheduler.audience.shape import Shape, shape_of
from scheduler.refusals import FieldError, Refusal, RefusedError, conflict, invalid
from scheduler.web.api.shapes import Query
from scheduler.web.endpoint import Call

LARGEST = 1 << 30  # bytes of a file
KEPT = 7 * 24 * 3600  # seconds that a report waits for its file to be sent again
_under_way: set[str] = set()


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


def tidy(imports: Path) -> None:
    """Remove what a kill, or somebody who never came back, left behind: it holds addresses."""
    old = time.time() - KEPT
    for one in imports.iterdir() if imports.exists() else ():
        with suppress(OSError):  # another process of ours was faster
            if one.name not in _under_way and one.stat().st_mtime < old:
                shutil.rmtree(one)


@asynccontextmanager
async def received(call: Call, query: FileQuery) -> AsyncIterator[tuple[Path, Shape]]:
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
