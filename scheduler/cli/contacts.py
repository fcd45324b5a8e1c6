"""`contacts`: people in and out of this machine's own database, as CSV or JSON lines."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, TextIO

import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from channels.translations import in_language
from scheduler.audience import exporting
from scheduler.audience.headings import MappingError
from scheduler.audience.importing import Importer, Order
from scheduler.audience.links import audience_key
from scheduler.audience.rows import BadRow, read_rows
from scheduler.audience.shape import Shape, shape_of
from scheduler.cli.copies import copy, restore
from scheduler.cli.database import open_database
from scheduler.cli.exits import CommandError, Exit
from scheduler.cli.output import console, print_fields, print_rows, spoken_language
from scheduler.cli.place import load_settings
from scheduler.clock import Clock
from scheduler.settings import Settings
from scheduler.store import lists

app = typer.Typer(help="Readers: import, export, encrypted copies.", no_args_is_help=True)
app.command()(copy)
app.command()(restore)
_SHOWN = 5


class _UnreadError(Exception):
    """Whoever read what we write went away."""


class Delimiter(StrEnum):
    """What parts the fields of a CSV file."""

    COMMA = ","
    SEMICOLON = ";"


class Format(StrEnum):
    """How an export is written."""

    CSV = "csv"
    JSONL = "jsonl"


@app.command(name="import")
def import_(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="A CSV file.")],
    *,
    into: Annotated[str, typer.Option("--list", help="A list's id, or an account's.")],
    source: Annotated[
        str, typer.Option(help="Where the addresses are from; kept as evidence.")
    ] = "",
    wording: Annotated[
        str, typer.Option(help="What people agreed to, word for word; kept as evidence.")
    ] = "",
    column: Annotated[
        list[str] | None,
        typer.Option("--map", help="HEADING=MEANING: email, name, …, an attribute, or ignore."),
    ] = None,
    delimiter: Annotated[str, typer.Option(help="Default: as the first line suggests.")] = "",
    encoding: Annotated[str, typer.Option(help="Default: UTF-8 or Windows-1252, by looking.")] = "",
    preview: Annotated[
        bool, typer.Option("--preview", help="Show what would be read, and change nothing.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Put people of a file on a list. Rows that cannot be taken are told, line by line, in
    FILE.rejected.csv; who unsubscribed or was erased stays away. Killed, it goes on where it was.
    """
    chosen = _chosen(column or [])
    language = spoken_language()
    try:
        shape = shape_of(file, delimiter=delimiter, encoding=encoding)
        _preview(file, shape, chosen, language)
        if preview:
            return
        if not yes and not (sys.stdin.isatty() and typer.confirm("Import it?")):
            raise CommandError("nothing was imported; --yes imports without asking")
        order = Order(
            file=file,
            shape=shape,
            list_id=into,
            source=source or f"import of {file.name}",
            wording=wording,
            chosen=chosen,
            language=language,
        )
        counts = asyncio.run(_import(load_settings(), order))
    except (OSError, MappingError, LookupError) as error:
        why = in_language(str(error), language)
        raise CommandError(f"{file} cannot be imported: {why}") from error
    _report(order, counts)


def _chosen(pairs: list[str]) -> dict[str, str]:
    split = [pair.rpartition("=") for pair in pairs]
    wrong = next((pair for pair, parts in zip(pairs, split, strict=True) if not parts[1]), None)
    if wrong is not None:
        raise CommandError(f"--map {wrong}: write HEADING=MEANING")
    return {heading: meaning for heading, _, meaning in split}


def _preview(file: Path, shape: Shape, chosen: Mapping[str, str], language: str) -> None:
    read = read_rows(file, shape, chosen, now=Clock().micros())
    rows = [row for _, row in islice(read, _SHOWN)]
    names = {"\t": "tab", ",": "comma", ";": "semicolon"}
    print_fields(
        {
            "encoding": shape.encoding,
            "delimiter": names.get(shape.delimiter, shape.delimiter),
            "columns": ", ".join(shape.headings),
        },
        {"Encoding": "encoding", "Delimiter": "delimiter", "Columns": "columns"},
    )
    print_rows(
        [
            {"line": str(row.line), "address": _not_taken(row, language)}
            if isinstance(row, BadRow)
            else {
                "line": str(row.line),
                "address": row.email,
                "name": row.name,
                "language": row.language,
                "more": "; ".join(f"{name}: {value}" for name, value in row.attributes.items()),
            }
            for row in rows
        ],
        {"Line": "line", "Address": "address", "Name": "name", "Language": "language",
         "Attributes": "more"},
        empty="No row.",
    )  # fmt: skip


def _not_taken(row: BadRow, language: str) -> str:
    said = "ligne refusée\u00a0: " if language == "fr" else "not taken: "
    return said + in_language(row.reason, language)


async def _import(settings: Settings, order: Order) -> dict[str, int]:
    clock = Clock()
    key = audience_key(settings.audience_key.get_secret_value(), settings.data_dir)
    async with open_database(settings) as database:
        async with database.write() as connection:
            found = await lists.find(connection, database, order.list_id, now=clock.micros())
            known = await lists.listed(connection)
        if found is None:
            names = ", ".join(f"{one['id']} ({one['name']})" for one in known) or "none yet"
            raise CommandError(f"there is no list {order.list_id}; there are: {names}")
        with _bar() as progress:
            task = progress.add_task("Importing", total=None, counts="")

            def told(counts: Mapping[str, int]) -> None:
                progress.update(task, completed=counts["rows"], counts=_sentence(counts))

            importer = Importer(database=database, clock=clock, key=key, told=told)
            progress.update(task, total=await asyncio.to_thread(_lines, order.file))
            return await importer.run(order)


def _bar() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[counts]}"),
        TimeRemainingColumn(),
        console=console(stderr=True),
        disable=not sys.stderr.isatty(),
    )


def _lines(file: Path) -> int:
    with file.open("rb") as data:
        return sum(block.count(b"\n") for block in iter(lambda: data.read(1 << 20), b""))


def _sentence(counts: Mapping[str, int]) -> str:
    said = {
        "added": "added", "there": "were there", "left": "had unsubscribed", "barred": "barred",
        "repeated": "repeated", "bad": "not taken",
    }  # fmt: skip
    parts = [f"{counts[name]} {words}" for name, words in said.items() if counts.get(name)]
    return f"{counts.get('rows', 0)} rows: {', '.join(parts) or 'nothing to do'}"


def _report(order: Order, counts: Mapping[str, int]) -> None:
    console().print(_sentence(counts) + ".")
    if counts.get("bad"):
        console().print(f"Why rows were not taken: {order.report}")
        raise typer.Exit(Exit.FAILED)


@app.command()
def export(
    file: Annotated[Path | None, typer.Argument(help="Default: to standard output.")] = None,
    *,
    of: Annotated[str | None, typer.Option("--list", help="Only this list's people.")] = None,
    form: Annotated[Format, typer.Option("--format", help="JSON lines hold everything.")] = (
        Format.CSV
    ),
    delimiter: Annotated[
        Delimiter, typer.Option(help="Spreadsheets in French part fields at semicolons.")
    ] = Delimiter.COMMA,
) -> None:
    """Write out everybody, with lists and evidence."""
    settings = load_settings()
    if file is None:
        try:
            asyncio.run(_export(settings, sys.stdout, of, form, delimiter))
        except _UnreadError:
            raise BrokenPipeError from None
        return
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as out:
            if form is Format.CSV:
                out.write(exporting.MARK)
            count = asyncio.run(_export(settings, out, of, form, delimiter))
    except OSError as error:
        raise CommandError(f"nothing was exported: {error}") from error
    console().print(f"{count} people: {file}")


async def _export(
    settings: Settings, out: TextIO, list_id: str | None, form: Format, delimiter: str
) -> int:
    count = 0
    if form is Format.CSV:
        _write(out, exporting.csv_line(exporting.HEADINGS, delimiter))
    async with open_database(settings) as database:
        async for one in exporting.people(database, list_id=list_id):
            _write(out, _line(one, form, delimiter))
            count += 1
    return count


def _write(out: TextIO, line: str) -> None:
    try:
        out.write(line)
    except BrokenPipeError as error:  # `open_database` would take it for the database's
        raise _UnreadError from error


def _line(one: dict[str, Any], form: Format, delimiter: str) -> str:
    if form is Format.CSV:
        return exporting.csv_line(exporting.csv_fields(one), delimiter)
    return exporting.json_line(one)
