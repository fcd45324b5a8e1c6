"""`segments`: saved filters over contacts, which say whom a post is for."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from scheduler.audience.filters import asleep, to_json
from scheduler.cli.client import Api, talk
from scheduler.cli.exits import CommandError
from scheduler.cli.output import Json, console, counted, print_json, print_rows
from scheduler.cli.place import find_place

app = typer.Typer(help="Whom posts are for: saved filters over readers.", no_args_is_help=True)
_LIST = {"Name": "name", "Filter": "said", "ID": "id"}
_PEOPLE = {"Address": "email", "Name": "name", "Language": "language", "ID": "id"}
SegmentId = Annotated[str, typer.Argument(metavar="SEGMENT", help="A segment's ID.")]
OfList = Annotated[
    str | None, typer.Option("--list", help="Of its subscribers only, as its newsletter would.")
]


@app.command(name="list")
def list_(context: typer.Context, *, as_json: Json = False) -> None:
    """All segments."""
    rows = talk(find_place(*context.obj), lambda api: api.get("/segments"))["segments"]
    if as_json:
        print_json(rows)
    else:
        print_rows([_row(row) for row in rows], _LIST, empty="No segment yet.")


@app.command()
def add(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="For its owner.")],
    filter_: Annotated[
        str | None,
        typer.Argument(metavar="FILTER", help='JSON as {"kind": "tag", "is": "vip"}; - is stdin.'),
    ] = None,
    *,
    file: Annotated[Path | None, typer.Option(help="A file with the filter.")] = None,
    asleep_months: Annotated[
        int | None,
        typer.Option(
            "--asleep", min=1, max=240, metavar="MONTHS",
            help="Who got nothing and confirmed nothing for so long: to be asked again.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Save a filter; posts name the segment's ID as `to`."""
    body = {"name": name, "filter": _filter(filter_, file, asleep_months)}

    async def conversation(api: Api) -> Any:
        made = await api.post("/segments", body)
        return {**made, "count": (await api.get(f"/segments/{made['id']}/count"))["count"]}

    made = talk(find_place(*context.obj), conversation)
    if as_json:
        print_json(made)
    else:
        print_rows([_row(made)], _LIST, empty="")
        console().print(f"{counted(made['count'], 'reader')} now.")


@app.command()
def count(
    context: typer.Context, segment_id: SegmentId, of: OfList = None, *, as_json: Json = False
) -> None:
    """How many people a segment means now, and the first of them."""
    found = talk(
        find_place(*context.obj), lambda api: api.get(f"/segments/{segment_id}/count", list=of)
    )
    if as_json:
        print_json(found)
    else:
        print_rows(found["contacts"], _PEOPLE, empty="Nobody.")
        console().print(f"{counted(found['count'], 'reader')} now.")


@app.command()
def remove(context: typer.Context, segment_id: SegmentId) -> None:
    """Forget a segment; refused while a post is waiting for it."""
    talk(find_place(*context.obj), lambda api: api.delete(f"/segments/{segment_id}"))
    console().print("Forgotten.")


def _filter(text: str | None, file: Path | None, months: int | None) -> Any:
    if sum(one is not None for one in (text, file, months)) != 1:
        raise CommandError("give one of FILTER, --file and --asleep")
    if months is not None:
        return to_json(asleep(months))
    try:
        if file is not None:
            text = file.read_text(encoding="utf-8")
        return json.loads(sys.stdin.read() if text == "-" else text or "")
    except (OSError, ValueError) as error:
        raise CommandError(f"the filter is no JSON: {error}") from error


def _row(row: dict[str, Any]) -> dict[str, Any]:
    return {**row, "said": json.dumps(row["filter"], ensure_ascii=False)}
