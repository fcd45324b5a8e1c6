"""`accounts`: the pages, sites and lists that posts go to."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from channels.registry import adapter_named
from scheduler.cli.client import Api, talk
from scheduler.cli.connecting import Schema, gather
from scheduler.cli.exits import Exit
from scheduler.cli.output import Json, console, print_fields, print_json, print_rows
from scheduler.cli.place import find_place

app = typer.Typer(help="Connected pages, sites and lists.", no_args_is_help=True)
_LIST = {"Channel": "channel", "Name": "name", "Status": "status", "Paused": "pause_reason",
         "What to do": "action", "ID": "id"}  # fmt: skip
_ONE = {"Account": "id", "Channel": "channel", "Name": "name", "Status": "status",
        "Because": "detail", "Since": "since", "What to do": "action", "Paused": "pause_reason",
        "Paused until": "paused_until", "Credential ends": "expires_at"}  # fmt: skip
_ADVICE = {"": "grade", "About": "area", "Found": "detail", "What to do": "remedy",
           "Record": "publish"}  # fmt: skip
AccountId = Annotated[str, typer.Argument(metavar="ACCOUNT", help="An account's ID.")]


@app.command(name="list")
def list_(context: typer.Context, *, as_json: Json = False) -> None:
    """All accounts and how they are."""
    found = talk(find_place(*context.obj), lambda api: api.get("/accounts"))["accounts"]
    if as_json:
        print_json(found)
    else:
        print_rows(found, _LIST, empty="No account yet: estafette accounts connect")


@app.command()
def channels(context: typer.Context, *, as_json: Json = False) -> None:
    """What can be connected, and which settings each takes."""
    found = talk(find_place(*context.obj), lambda api: api.get("/channels"))["channels"]
    if as_json:
        print_json(found)
        return
    rows = [{**one, "fields": _fields(one["settings"])} for one in found]
    columns = {"Adapter": "adapter", "Channel": "channel", "Settings (* needed)": "fields"}
    print_rows(rows, columns, empty="")


@app.command()
def connect(
    context: typer.Context,
    adapter: Annotated[str, typer.Argument(help="As `estafette accounts channels` names it.")],
    name: Annotated[str, typer.Argument(help="As you call it.")],
    setting: Annotated[
        list[str] | None,
        typer.Option(
            "--set", "-s", metavar="NAME=VALUE", help="A setting; `relays.0.host` reaches deeper."
        ),
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option(help="Settings as a JSON object; - reads stdin, so no secret is in history."),
    ] = None,
    *,
    check: Annotated[
        bool, typer.Option(help="Look at it first; without: its platform is down, store it unseen.")
    ] = True,
    as_json: Json = False,
) -> None:
    """Connect a page, site or list (`wordpress`, `ghost`, `smtp`, `mastodon`, …): asks for what is
    missing, and looks at it before it stores anything."""
    place = find_place(*context.obj)
    taken = talk(place, lambda api: api.get("/channels"))["channels"]
    wanted = adapter_named(adapter)
    schema: Schema = next((one["settings"] for one in taken if one["adapter"] == wanted), {})
    settings = gather(schema, file, setting or ())
    body = {"adapter": wanted, "name": name, "settings": settings, "check": check}
    _print(talk(place, lambda api: api.post("/accounts", body)), as_json=as_json)


@app.command()
def login(
    context: typer.Context,
    adapter: Annotated[str, typer.Argument(help="As `estafette accounts channels` names it.")],
    *,
    as_json: Json = False,
) -> None:
    """A link, good once, to connect accounts by logging in at their platform in a browser."""
    body = {"adapter": adapter}
    found = talk(find_place(*context.obj), lambda api: api.post("/logins", body))
    if as_json:
        print_json(found)
    else:
        print_fields(found, {"Open": "url", "Until": "expires_at", "Sends back to": "redirect_uri"})


@app.command()
def probe(context: typer.Context, account_id: AccountId, *, as_json: Json = False) -> None:
    """Look at an account with its credentials, now. Exit code 1 when it is not healthy."""

    async def ask(api: Api) -> Any:
        return await api.post(f"/accounts/{account_id}/probe")

    found = talk(find_place(*context.obj), ask)
    if as_json:
        print_json(found)
    else:
        print_fields(found, {"Status": "status", "Because": "detail", "What to do": "remedy"})
    if found["status"] != "healthy":
        raise typer.Exit(Exit.FAILED)


@app.command()
def deliverability(context: typer.Context, account_id: AccountId, *, as_json: Json = False) -> None:
    """Whether a newsletter arrives: SPF, DKIM, DMARC, relay, form. Exit code 1: an error."""
    path = f"/accounts/{account_id}/deliverability"
    found = talk(find_place(*context.obj), lambda api: api.get(path))["advice"]
    if as_json:
        print_json(found)
    else:
        rows = [{**one, "publish": _record(one["record"])} for one in found]
        print_rows(rows, _ADVICE, empty="")
    if any(one["grade"] == "error" for one in found):
        raise typer.Exit(Exit.FAILED)


@app.command()
def dkim(
    context: typer.Context,
    account_id: AccountId,
    selector: Annotated[str, typer.Option(help="The new key's name in DNS.")] = "estafette",
    *,
    as_json: Json = False,
) -> None:
    """Make the key that signs a newsletter; again, once it is published: sign with it."""
    path, body = f"/accounts/{account_id}/dkim", {"selector": selector}
    found = talk(find_place(*context.obj), lambda api: api.post(path, body))
    if as_json:
        print_json(found)
    elif found["active"]:
        console().print("Mails are signed with the key that is published.")
    else:
        console().print("Publish this record, then run the same command again:")
        print_fields(found["record"], {"Name": "name", "Type": "type", "Value": "value"})


@app.command()
def pause(
    context: typer.Context,
    account_id: AccountId,
    until: Annotated[str | None, typer.Option(help="RFC 3339; without: until resumed.")] = None,
    *,
    as_json: Json = False,
) -> None:
    """Let nothing go out to an account for a while."""
    path, body = f"/accounts/{account_id}/pause", {"until": until}
    _print(talk(find_place(*context.obj), lambda api: api.post(path, body)), as_json=as_json)


@app.command()
def resume(context: typer.Context, account_id: AccountId, *, as_json: Json = False) -> None:
    """End a pause, and believe the account again."""
    path = f"/accounts/{account_id}/resume"
    _print(talk(find_place(*context.obj), lambda api: api.post(path)), as_json=as_json)


@app.command()
def archive(context: typer.Context, account_id: AccountId) -> None:
    """Forget an account's credentials; what was published stays on record."""
    talk(find_place(*context.obj), lambda api: api.delete(f"/accounts/{account_id}"))
    console().print("Archived.")


def _print(found: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(found)
    else:
        print_fields(found, _ONE)


def _record(record: dict[str, str] | None) -> str:
    return "" if record is None else f"{record['name']} {record['type']} {record['value']}"


def _fields(schema: dict[str, Any]) -> str:
    needed = set(schema.get("required", ()))
    return ", ".join(f"{name}{'*' * (name in needed)}" for name in schema.get("properties", ()))
