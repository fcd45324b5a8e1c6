"""How commands answer: a table for people, `--json` for machines."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]

# What is piped or logged is not cut to a terminal's width.
_WIDE = 200
_STYLES = {
    "delivered": "green", "healthy": "green", "ok": "green", "active": "green",
    "held": "yellow", "unconfirmed": "yellow", "warning": "yellow", "paused": "yellow",
    "failed": "red", "error": "red", "gone": "red", "access-lost": "red",
    "rerouted": "cyan", "cancelled": "dim", "withdrawn": "green", "already": "green",
}  # fmt: skip


def console(*, stderr: bool = False) -> Console:
    """A console as wide as the terminal, or wide enough for any file."""
    stream = sys.stderr if stderr else sys.stdout
    width = shutil.get_terminal_size().columns if stream.isatty() else _WIDE
    soft = not stream.isatty()
    # Without emoji: a title says `:clap:` when its author wrote that.
    return Console(stderr=stderr, width=width, emoji=False, highlight=False, soft_wrap=soft)


def spoken_language() -> str:
    """`fr` or `en`, by the environment's locale."""
    named = (os.environ.get(name) for name in ("LC_ALL", "LC_MESSAGES", "LANG"))
    return "fr" if next(filter(None, named), "").lower().startswith("fr") else "en"


def say(text: str, style: str = "") -> None:
    """A line of a story, in one style."""
    console().print(Text(text, style=style), soft_wrap=True)


def counted(number: int, what: str) -> str:
    """`1 post`, `2 posts`."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def print_json(value: object) -> None:
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=2) + "\n")


def print_rows(
    rows: Iterable[Mapping[str, Any]], columns: Mapping[str, str], *, empty: str
) -> None:
    """A table. `columns`: heading to the row's field; `empty`: what to say without rows."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in columns:
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*(cell(row.get(field)) for field in columns.values()))
    console().print(table if table.row_count else empty)


def print_fields(row: Mapping[str, Any], fields: Mapping[str, str]) -> None:
    """One thing, a line per field that has a value."""
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for heading, field in fields.items():
        if row.get(field) not in {None, ""}:
            table.add_row(heading, cell(row[field]))
    console().print(table)


def cell(value: object) -> Text:
    """A value as a table shows it: moments in this machine's zone, states in their colour."""
    if value is None:
        return Text("")
    if isinstance(value, str):
        return Text(local(value) or value, style=_STYLES.get(value, ""))
    if isinstance(value, Sequence):
        return Text(", ".join(map(str, value)))
    return Text(str(value))


def local(stamp: str) -> str | None:
    """An RFC 3339 stamp in this machine's zone, to the second; None for other text."""
    if len(stamp) < 20 or stamp[10] != "T":
        return None
    try:
        moment = datetime.fromisoformat(stamp)
    except ValueError:
        return None
    return None if moment.tzinfo is None else f"{moment.astimezone():%Y-%m-%d %H:%M:%S}"
