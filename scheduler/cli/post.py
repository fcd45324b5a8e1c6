"""`post`: one post, from flags, a file with front matter, or stdin."""

from __future__ import annotations

import asyncio
import mimetypes
import sys
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any

import aiohttp
import frontmatter
import typer
import yaml

from scheduler.cli.client import Api, talk
from scheduler.cli.exits import CommandError, Exit
from scheduler.cli.output import Json, console, print_fields, print_json, print_rows
from scheduler.cli.place import find_place

_ENDED = {"delivered", "rerouted", "failed", "cancelled", "held"}
_BAD = {"failed", "held"}
_LOOK_EVERY = 0.2  # seconds
_PROBLEMS = {
    "Account": "account", "Severity": "severity", "Field": "field", "Problem": "detail",
    "Remedy": "remedy",
}  # fmt: skip
_PREVIEW = {"Account": "account", "Channel": "channel", "Title": "title", "Text": "text"}
DELIVERIES = {
    "Account": "account", "Channel": "channel", "State": "state", "Due": "due_at", "Link": "url",
    "Cause": "cause", "ID": "id",
}  # fmt: skip


def post(
    context: typer.Context,
    file: Annotated[
        Path | None,
        typer.Argument(help="Markdown with front matter (fields of the API); - reads stdin."),
    ] = None,
    title: Annotated[str | None, typer.Option("--title", "-t")] = None,
    body: Annotated[str | None, typer.Option("--body", "-b", help="Markdown.")] = None,
    link: Annotated[str | None, typer.Option("--link", "-l")] = None,
    at: Annotated[
        str | None, typer.Option("--at", help="RFC 3339, or a local time in --zone; or now.")
    ] = None,
    zone: Annotated[str | None, typer.Option(help="IANA zone, as Europe/Paris.")] = None,
    channel: Annotated[
        list[str] | None, typer.Option("--channel", "-c", help="Every account of it; repeatable.")
    ] = None,
    account: Annotated[
        list[str] | None, typer.Option("--account", "-a", help="An account's ID; repeatable.")
    ] = None,
    kind: Annotated[str | None, typer.Option(help="essential, ordinary or promotional.")] = None,
    language: Annotated[str | None, typer.Option(help="As en or fr.")] = None,
    media: Annotated[
        list[Path] | None, typer.Option("--media", "-m", help="A picture to upload; repeatable.")
    ] = None,
    alt: Annotated[
        list[str] | None, typer.Option(help="What the picture shows, in the order of --media.")
    ] = None,
    tag: Annotated[list[str] | None, typer.Option(help="Repeatable.")] = None,
    to: Annotated[
        str | None, typer.Option(help="A segment's ID: of the readers, only these.")
    ] = None,
    late_policy: Annotated[str | None, typer.Option(help="publish, ask or drop.")] = None,
    deadline: Annotated[str | None, typer.Option(help="Not published after it.")] = None,
    key: Annotated[
        str | None, typer.Option(help="Idempotency key: the same key makes one post only.")
    ] = None,
    *,
    preview: Annotated[
        bool, typer.Option("--preview", help="Show what would happen; store nothing.")
    ] = False,
    wait: Annotated[
        bool, typer.Option("--wait", help="Until every delivery ended; 1 if one failed or is held.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Schedule a post. What flags say wins over what the file says."""
    draft = read_draft(file)
    draft |= _given(
        title=title, body=body, link=link, at=at, zone=zone, channels=channel, accounts=account,
        kind=kind, language=language, tags=tag, to=to, late_policy=late_policy,
        deadline=deadline,
    )  # fmt: skip
    pictures = list(zip(media or (), [*(alt or ()), *[""] * len(media or ())], strict=False))

    async def conversation(api: Api) -> Any:
        if pictures:
            draft["media"] = [*draft.get("media", ()), *[await _upload(api, *p) for p in pictures]]
        if preview:
            return await api.post("/posts/preview", draft)
        made = await api.post("/posts", draft, headers={"Idempotency-Key": key} if key else None)
        return {**made, **await ended(api, made["id"])} if wait else made

    answer = talk(find_place(*context.obj), conversation)
    if as_json:
        print_json(answer)
    else:
        _show(answer, preview=preview)
    if wait and any(delivery["state"] in _BAD for delivery in answer["deliveries"]):
        raise typer.Exit(Exit.FAILED)


def read_draft(file: Path | None) -> dict[str, Any]:
    """The fields of a post file: its front matter, and its text as `body`.

    Error: CommandError when the file cannot be read or its front matter is no YAML mapping.
    """
    if file is None:
        return {}
    name = "stdin" if str(file) == "-" else str(file)
    try:
        text = sys.stdin.read() if name == "stdin" else file.read_text(encoding="utf-8")
        fields, body = frontmatter.parse(text)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise CommandError(f"{name} cannot be read: {reason}") from error
    except (yaml.YAMLError, ValueError) as error:
        raise CommandError(f"the front matter of {name} is no YAML: {error}") from error
    draft = {key: _plain(value) for key, value in fields.items()}
    return {**draft, "body": body.strip()} if body.strip() else draft


def _plain(value: Any) -> Any:
    """YAML reads dates by itself; the API takes them as text."""
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(item) for item in value]
    return value


def _given(**fields: object) -> dict[str, object]:
    return {name: value for name, value in fields.items() if value is not None}


async def _upload(api: Api, path: Path, alt: str) -> str:
    form = aiohttp.FormData()
    try:
        content = path.read_bytes()  # noqa: ASYNC240 -- a command has nothing else to do meanwhile
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {error.strerror}") from error
    kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    form.add_field("file", content, filename=path.name, content_type=kind)
    form.add_field("alt", alt)
    uploaded = await api.upload("/media", form)
    return str(uploaded["id"])


async def ended(api: Api, post_id: str) -> dict[str, Any]:
    """The post once each of its deliveries, reroutes included, ended or waits for a person."""
    while True:
        found: dict[str, Any] = await api.get(f"/posts/{post_id}")
        if all(delivery["state"] in _ENDED for delivery in found["deliveries"]):
            return found
        await asyncio.sleep(_LOOK_EVERY)


def _show(answer: Any, *, preview: bool) -> None:
    if preview:
        print_rows(answer["deliveries"], _PREVIEW, empty="It goes nowhere.")
    else:
        print_fields(answer, {"Post": "id", "Title": "title", "At": "at", "Zone": "zone"})
        print_rows(answer["deliveries"], DELIVERIES, empty="It goes nowhere.")
    if answer.get("problems"):
        console().print("\nBefore it goes out:")
        print_rows(answer["problems"], _PROBLEMS, empty="")
