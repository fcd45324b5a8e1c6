"""`proof`: the newsletter as one reader gets it, before it goes out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from scheduler.cli.client import Api, talk
from scheduler.cli.exits import CommandError, Exit
from scheduler.cli.output import Json, console, print_fields, print_json
from scheduler.cli.place import find_place
from scheduler.cli.post import read_draft

_HEAD = {"Account": "account", "From": "sender", "To": "recipient", "Subject": "subject",
         "Bytes": "size"}  # fmt: skip


def proof(
    context: typer.Context,
    what: Annotated[
        str, typer.Argument(metavar="POST|FILE", help="A post's ID, a post file, or - for stdin.")
    ],
    account: Annotated[str | None, typer.Option(help="Default: the first newsletter.")] = None,
    contact: Annotated[
        str | None, typer.Option(help="A contact's ID: with their name and attributes.")
    ] = None,
    to: Annotated[
        str | None, typer.Option(help="Send it there, marked [test]: your own address.")
    ] = None,
    html: Annotated[Path | None, typer.Option(help="Write the HTML part into this file.")] = None,
    *,
    as_json: Json = False,
) -> None:
    """Show a newsletter as it would arrive, or send it to yourself. 1: the relay refused it."""
    body: dict[str, Any] = {"account": account, "contact": contact}
    if what == "-" or Path(what).exists():
        body["post"] = read_draft(Path(what))
    else:
        body["post_id"] = what

    async def conversation(api: Api) -> Any:
        if to is not None:
            return await api.post("/posts/test-mail", {**body, "to": to})
        return await api.post("/posts/preview/mail", body)

    answer = talk(find_place(*context.obj), conversation)
    if as_json:
        print_json(answer)
    elif to is not None:
        console().print(f"Sent to {to}." if answer["sent"] else f"Not sent: {answer['detail']}")
    else:
        _show(answer, html)
    if to is not None and not answer["sent"]:
        raise typer.Exit(Exit.FAILED)


def _show(answer: Any, html: Path | None) -> None:
    print_fields(answer, _HEAD)
    typer.echo("\n" + answer["text"])
    if html is not None:
        try:
            html.write_text(answer["html"], encoding="utf-8")
        except OSError as error:
            raise CommandError(f"{html} cannot be written: {error.strerror}") from error
