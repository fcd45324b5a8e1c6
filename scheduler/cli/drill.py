"""`drill`: rehearse the loss of an account; `basket`: what hangs on each."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from scheduler.cli.client import Api, talk
from scheduler.cli.exits import CommandError
from scheduler.cli.output import Json, counted, print_json, print_rows
from scheduler.cli.place import find_place

_LINES = {"Due": "due_at", "Post": "title", "Road": "road", "To": "to", "At": "at", "Why": "why"}
_EGGS = {
    "Account": "account", "Channel": "channel", "Audience": "audience", "Share": "share",
    "Delivered": "delivered", "Waiting": "waiting", "Saved": "saved",
}  # fmt: skip


def drill(
    context: typer.Context,
    account: Annotated[
        str,
        typer.Argument(metavar="ACCOUNT", help="Its ID or name, or a channel with one account."),
    ],
    *,
    gone: Annotated[  # noqa: ARG001 -- the only loss there is to rehearse, said in so many words
        bool, typer.Option("--gone", help="As if its page had vanished.")
    ] = True,
    live: Annotated[
        bool,
        typer.Option("--live", help="On a practice platform: it really vanishes, and returns."),
    ] = False,
    as_json: Json = False,
) -> None:
    """What would go where, when, in which words, if this account were gone; who not reached."""

    async def ask(api: Api) -> Any:
        account_id = _one((await api.get("/accounts"))["accounts"], account)
        return await api.post("/drills", {"account_id": account_id, "live": live})

    made = talk(find_place(*context.obj), ask)
    if as_json:
        print_json(made)
        return
    report = made["report"]
    print_rows(report["lines"], _LINES, empty="Nothing waits for this account.")
    typer.echo(
        f"\n{report['posts']} posts wait for {report['account']}: {report['rerouted']} take"
        f" another road, {report['held']} would be held."
    )
    for digest in report["digests"]:
        typer.echo(
            f"Digest of {counted(digest['posts'], 'post')} by {digest['to']} at {digest['at']}:"
        )
        typer.echo(f"  {digest['title']}")
    typer.echo(_reach(report["reach"]))


def basket(context: typer.Context, *, as_json: Json = False) -> None:
    """How much of your audience, and of what was delivered, hangs on each account."""
    found = talk(find_place(*context.obj), lambda api: api.get("/basket"))
    if as_json:
        print_json(found)
        return
    rows = [{**one, "share": _percent(one["audience_share"])} for one in found["accounts"]]
    print_rows(rows, _EGGS, empty="No account yet.")
    typer.echo(f"\nConcentration (1: all eggs in one basket): {_index(found['audience_index'])}")
    typer.echo(f"Of {found['waiting']} posts that wait, plan B would carry {found['saved']}.")
    for post in found["stranded"]:
        typer.echo(f"No other road: {post['title']} ({post['account']}): {post['why']}")


def _one(accounts: list[dict[str, Any]], wanted: str) -> str:
    """The id of the account that is meant. Error: CommandError when it is not clear which."""
    found = [one for one in accounts if wanted in {one["id"], one["name"], one["channel"]}]
    if len(found) != 1:
        known = ", ".join(f"{one['name']} ({one['id']})" for one in found or accounts) or "none"
        what = "several accounts are" if found else "no account is"
        raise CommandError(f"{what} called {wanted!r}; connected: {known}")
    identity: str = found[0]["id"]
    return identity


def _reach(reach: dict[str, Any]) -> str:
    if reach["unreached"] is None:
        return "Who would not be reached: the size of an audience is not known."
    return f"At least {reach['unreached']} of {reach['audience']} people would not be reached."


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share:.0%}"


def _index(value: float | None) -> str:
    return "not known" if value is None else f"{value:.2f}"
