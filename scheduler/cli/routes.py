"""`routes`: plan B, written on a calm day."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any

import typer

from scheduler.cli.client import Api, talk
from scheduler.cli.exits import CommandError
from scheduler.cli.output import Json, print_json, print_rows
from scheduler.cli.place import find_place

app = typer.Typer(help="Where posts go when an account cannot.", no_args_is_help=True)
_LIST = {"Account": "account", "Channel": "channel", "Then": "then", "Written by": "whose",
         "Mind": "warnings", "ID": "account_id"}  # fmt: skip
AccountId = Annotated[str, typer.Argument(metavar="ACCOUNT", help="An account's ID.")]


@app.command(name="list")
def list_(context: typer.Context, *, as_json: Json = False) -> None:
    """Every account's fallbacks, in order, and what is wrong with them."""

    async def ask(api: Api) -> tuple[list[Any], list[Any]]:
        routes, accounts = await api.get("/routes"), await api.get("/accounts")
        return routes["routes"], accounts["accounts"]

    routes, accounts = talk(find_place(*context.obj), ask)
    if as_json:
        print_json(routes)
    else:
        names = {account["id"]: account["name"] for account in accounts}
        print_rows([_row(route, names) for route in routes], _LIST, empty="No account yet.")


@app.command(name="set")
def set_(
    context: typer.Context,
    account_id: AccountId,
    fallbacks: Annotated[list[str], typer.Argument(help="Account IDs, first choice first.")],
    note: Annotated[str, typer.Option(help="Said on rerouted posts, in your words.")] = "",
    mode: Annotated[
        list[str] | None,
        typer.Option("--kind", metavar="KIND=MODE", help="As promotional=digest; repeatable."),
    ] = None,
    digest_hour: Annotated[
        int, typer.Option(min=0, max=23, help="Local hour of the day's digest.")
    ] = 18,
    worth_hours: Annotated[
        int, typer.Option(min=1, help="For how long after its time a post is worth rerouting.")
    ] = 48,
    weekly_mails: Annotated[
        int, typer.Option(min=0, help="Mails a week that reroutes may add to one list.")
    ] = 7,
    *,
    last_resort: Annotated[
        bool, typer.Option("--last-resort", help="With every fallback closed: on the own site.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Write an account's plan B."""
    body = {
        "fallbacks": fallbacks,
        "kinds": dict(_pair(text) for text in mode or ()),
        "note": note,
        "digest_hour": digest_hour,
        "worth_hours": worth_hours,
        "weekly_mails": weekly_mails,
        "last_resort": last_resort,
    }
    _write(context, lambda api: api.put(f"/routes/{account_id}", body), as_json=as_json)


@app.command()
def reset(context: typer.Context, account_id: AccountId, *, as_json: Json = False) -> None:
    """Back to the route that every installation starts with."""
    _write(context, lambda api: api.delete(f"/routes/{account_id}"), as_json=as_json)


def _write(
    context: typer.Context, ask: Callable[[Api], Awaitable[dict[str, Any]]], *, as_json: bool
) -> None:
    """What was written, with the accounts by their names."""

    async def conversation(api: Api) -> tuple[dict[str, Any], list[Any]]:
        route = await ask(api)
        return route, (await api.get("/accounts"))["accounts"]

    route, accounts = talk(find_place(*context.obj), conversation)
    if as_json:
        print_json(route)
    else:
        names = {account["id"]: account["name"] for account in accounts}
        print_rows([_row(route, names)], _LIST, empty="")


def _row(route: dict[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    return {
        **route,
        "then": " → ".join(names.get(one, one) for one in route["fallbacks"]) or "nowhere",
        "whose": "default" if route["default"] else "you",
    }


def _pair(text: str) -> tuple[str, str]:
    kind, equals, mode = text.partition("=")
    if not equals:
        raise CommandError(f"--kind takes KIND=MODE, not {text!r}")
    return kind, mode
