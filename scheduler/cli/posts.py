"""`posts`: what is planned and what became of it, and the decisions a person takes."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from scheduler.cli.client import Api, talk
from scheduler.cli.exits import Exit
from scheduler.cli.output import Json, console, print_fields, print_json, print_rows
from scheduler.cli.place import find_place
from scheduler.cli.post import DELIVERIES

app = typer.Typer(help="Posts and their deliveries.", no_args_is_help=True)
_POST = {"Post": "id", "Title": "title", "Kind": "kind", "At": "at", "Zone": "zone",
         "Cancelled": "cancelled_at"}  # fmt: skip
_LIST = {"Due": "at", "Title": "title", "Deliveries": "summary", "ID": "id"}
_ATTEMPTS = {"Account": "account", "Try": "number", "At": "started_at", "Outcome": "outcome",
             "Decision": "decision", "Late (ms)": "late_ms", "Detail": "detail"}  # fmt: skip
_BECAME = {"Account": "account", "Channel": "channel", "Outcome": "fate", "Why": "detail",
           "Remedy": "remedy", "Link": "url"}  # fmt: skip
_EVENTS = {"At": "at", "What": "kind", "Who": "actor", "Detail": "detail"}
PostId = Annotated[str, typer.Argument(metavar="POST", help="A post's ID.")]
DeliveryId = Annotated[str, typer.Argument(metavar="DELIVERY", help="A delivery's ID.")]


@app.command(name="list")
def list_(
    context: typer.Context,
    state: Annotated[
        str | None, typer.Option(help="With a delivery in this state: held, failed, scheduled, …")
    ] = None,
    channel: Annotated[str | None, typer.Option("--channel", "-c")] = None,
    most: Annotated[int, typer.Option("--limit", "-n", min=1)] = 20,
    *,
    oldest: Annotated[bool, typer.Option("--oldest", help="Oldest first.")] = False,
    as_json: Json = False,
) -> None:
    """Posts by due time, newest first."""

    async def ask(api: Api) -> list[Any]:
        order = "oldest" if oldest else "newest"
        return await api.pages(
            "/posts", "posts", most=most, state=state, channel=channel, order=order
        )

    found = talk(find_place(*context.obj), ask)
    if as_json:
        print_json(found)
        return
    rows = [{**post, "summary": _summary(post), "title": _headline(post)} for post in found]
    print_rows(rows, _LIST, empty="No post yet: estafette post --title …")


@app.command()
def show(context: typer.Context, post_id: PostId, *, as_json: Json = False) -> None:
    """One post: its deliveries and everything that was tried."""
    found = talk(find_place(*context.obj), lambda api: api.get(f"/posts/{post_id}"))
    _print_post(found, as_json=as_json)


@app.command()
def timeline(context: typer.Context, post_id: PostId, *, as_json: Json = False) -> None:
    """Everything that happened to a post, oldest first."""
    found = talk(find_place(*context.obj), lambda api: api.get(f"/posts/{post_id}/events"))
    if as_json:
        print_json(found)
        return
    rows = [{**event, "detail": detail_of(event)} for event in found["events"]]
    print_rows(rows, _EVENTS, empty="Nothing happened yet.")


@app.command()
def cancel(context: typer.Context, post_id: PostId, *, as_json: Json = False) -> None:
    """Cancel what of a post has not gone out."""
    found = talk(find_place(*context.obj), lambda api: api.post(f"/posts/{post_id}/cancel"))
    _print_post(found, as_json=as_json)


@app.command()
def publish(context: typer.Context, post_id: PostId, *, as_json: Json = False) -> None:
    """Send now what is scheduled for later."""
    found = talk(find_place(*context.obj), lambda api: api.post(f"/posts/{post_id}/publish"))
    _print_post(found, as_json=as_json)


@app.command()
def withdraw(
    context: typer.Context,
    post_id: PostId,
    delivery_id: Annotated[
        str | None,
        typer.Option("--delivery", metavar="DELIVERY", help="Only this delivery of it."),
    ] = None,
    *,
    as_json: Json = False,
) -> None:
    """Take down what was published, where its channel can; the exit code is 1 when something of it
    still stands."""
    place = find_place(*context.obj)
    if delivery_id is not None:
        _decide(context, f"/deliveries/{delivery_id}/withdraw", None, as_json=as_json)
        return
    _print_became(talk(place, lambda api: api.post(f"/posts/{post_id}/withdraw")), as_json=as_json)


@app.command()
def edit(
    context: typer.Context,
    post_id: PostId,
    title: Annotated[str | None, typer.Option(help="The new title.")] = None,
    body: Annotated[str | None, typer.Option(help="The new text, Markdown.")] = None,
    channel: Annotated[
        str | None, typer.Option("--channel", "-c", help="Only what it says on this channel.")
    ] = None,
    *,
    as_json: Json = False,
) -> None:
    """Correct the words of what waits and of what was published, where its channel can; the exit
    code is 1 when something of it keeps the old ones."""
    words = {"title": title, "body": body}
    sent: dict[str, Any] = {name: value for name, value in words.items() if value is not None}
    if channel is not None:
        sent = {"variants": {channel: sent}}
    found = talk(find_place(*context.obj), lambda api: api.post(f"/posts/{post_id}/edit", sent))
    _print_became(found, as_json=as_json)


@app.command()
def retry(context: typer.Context, delivery_id: DeliveryId, *, as_json: Json = False) -> None:
    """Try a held or failed delivery again."""
    _decide(context, f"/deliveries/{delivery_id}/retry", None, as_json=as_json)


@app.command()
def redirect(
    context: typer.Context,
    delivery_id: DeliveryId,
    account_id: Annotated[str, typer.Argument(metavar="ACCOUNT", help="Where it goes instead.")],
    *,
    as_json: Json = False,
) -> None:
    """Send a held or failed delivery to another account."""
    body = {"account_id": account_id}
    _decide(context, f"/deliveries/{delivery_id}/redirect", body, as_json=as_json)


@app.command()
def settle(
    context: typer.Context,
    delivery_id: DeliveryId,
    *,
    published: Annotated[
        bool, typer.Option("--published/--absent", help="What you saw on the platform.")
    ],
    url: Annotated[str | None, typer.Option(help="Where readers see it.")] = None,
    as_json: Json = False,
) -> None:
    """Say what became of a delivery that nobody could confirm: absent means send it again."""
    body = {"published": published, **({} if url is None else {"url": url})}
    _decide(context, f"/deliveries/{delivery_id}/settle", body, as_json=as_json)


def detail_of(event: dict[str, Any]) -> str:
    """What an event says beside its kind."""
    data = event["data"]
    words = [str(data[name]) for name in ("cause", "detail", "url") if data.get(name)]
    return "  ".join(words)


def _print_became(found: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(found)
    else:
        print_rows(found["deliveries"], _BECAME, empty="It went nowhere.")
    if not found["complete"]:
        raise typer.Exit(Exit.FAILED)


def _decide(
    context: typer.Context, path: str, body: dict[str, Any] | None, *, as_json: bool
) -> None:
    found = talk(find_place(*context.obj), lambda api: api.post(path, body))
    if as_json:
        print_json(found)
    else:
        print_rows([{**found, "state": _state(found)}], DELIVERIES, empty="")


def _print_post(found: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    print_fields(found, _POST)
    legs = [{**delivery, "state": _state(delivery)} for delivery in found["deliveries"]]
    print_rows(legs, DELIVERIES, empty="It goes nowhere.")
    accounts = {delivery["id"]: delivery["account"] for delivery in found["deliveries"]}
    tries = [
        {**attempt, "account": accounts.get(delivery_id)}
        for delivery_id, attempts in found["attempts"].items()
        for attempt in attempts
    ]
    if tries:
        console().print()
        print_rows(tries, _ATTEMPTS, empty="")


def _summary(post: dict[str, Any]) -> str:
    states: dict[str, int] = {}
    for delivery in post["deliveries"]:
        state = _state(delivery)
        states[state] = states.get(state, 0) + 1
    return ", ".join(f"{count} {state}" for state, count in sorted(states.items()))


def _state(delivery: dict[str, Any]) -> str:
    return "withdrawn" if delivery["withdrawn_at"] else str(delivery["state"])


def _headline(post: dict[str, Any]) -> str:
    text = str(post["title"] or post["content"].get("body", ""))
    return text.splitlines()[0][:60] if text else ""
