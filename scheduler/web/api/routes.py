"""Routes: what an account's posts do when it cannot carry them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import Field
from typing_extensions import TypedDict

from channels.posts import Kind
from scheduler.care import drill_of
from scheduler.drafts import MediaId, Strict, Text
from scheduler.live_drill import practises
from scheduler.refusals import Refusal, RefusedError, invalid, not_found
from scheduler.reroute import DEFAULT_RULES, Mode
from scheduler.routing import route_errors, route_warnings
from scheduler.services import Services
from scheduler.store import accounts, routes
from scheduler.store.db import Connection
from scheduler.store.events import note_account
from scheduler.store.tokens import Scope
from scheduler.web.api.shapes import ById
from scheduler.web.endpoint import Call, Endpoints

_CHANGED = "route.changed"
endpoints = Endpoints("routes")

_ONE = (Refusal.NOT_FOUND,)


class RouteDraft(Strict):
    """An account's plan B, first choice first."""

    fallbacks: Annotated[list[MediaId], Field(max_length=20, description="Account ids.")]
    kinds: Annotated[
        dict[Kind, Mode],
        Field(default_factory=dict, description="How each kind of post takes the other road."),
    ]
    note: Annotated[
        Text, Field(max_length=300, description="Said on rerouted posts, in your words.")
    ] = ""
    digest_hour: Annotated[
        int, Field(ge=0, le=23, description="Local hour of the day's digest.")
    ] = 18
    worth_hours: Annotated[
        int,
        Field(ge=1, le=720, description="For how long after its time a post is worth rerouting."),
    ] = 48
    weekly_mails: Annotated[
        int, Field(ge=0, le=50, description="Mails a week that reroutes may add to one list.")
    ] = 7
    last_resort: Annotated[
        bool, Field(description="With every fallback closed, publish on the built-in site.")
    ] = False
    day_seconds: Annotated[
        float | None,
        Field(ge=1, le=86400, description="How long a day lasts; on practice platforms alone."),
    ] = None


_PLAIN = RouteDraft(fallbacks=[], kinds={})
_EXTRAS = {"note", "digest_hour", "worth_hours", "weekly_mails", "last_resort", "day_seconds"}


class RouteAnswer(TypedDict):
    """An account's plan B. `default`: its owner wrote none. `warnings`: what to know of it."""

    account_id: str
    account: str
    channel: str
    fallbacks: list[str]
    kinds: dict[str, str]
    note: str
    digest_hour: int
    worth_hours: int
    weekly_mails: int
    last_resort: bool
    day_seconds: float | None
    default: bool
    warnings: list[str]


class RouteList(TypedDict):
    """Every account's plan B."""

    routes: list[RouteAnswer]


class RouteCheck(TypedDict):
    """A route that could be written, and what to know of it."""

    warnings: list[str]


@endpoints.get("/routes", scope=Scope.READ)
async def index(call: Call) -> RouteList:
    """Every account's plan B, and what is wrong with it."""
    return {"routes": await listed(call.services)}


@endpoints.get("/routes/{id}", scope=Scope.READ, refusals=_ONE)
async def read(call: Call, path: ById) -> RouteAnswer:
    """One account's plan B."""
    async with call.services.database.read() as connection:
        return await _answer(connection, path.id)


@endpoints.put("/routes/{id}", scope=Scope.WRITE, refusals=_ONE)
async def write(call: Call, path: ById, body: RouteDraft) -> RouteAnswer:
    """Write an account's plan B."""
    return await save(call.services, path.id, body, call.caller.actor)


@endpoints.post("/routes/{id}/check", scope=Scope.READ, refusals=_ONE)
async def check(call: Call, path: ById, body: RouteDraft) -> RouteCheck:
    """Whether this plan B could be written, without writing it."""
    return {"warnings": await warnings_of(call.services, path.id, body)}


@endpoints.delete("/routes/{id}", scope=Scope.WRITE, refusals=_ONE)
async def reset(call: Call, path: ById) -> RouteAnswer:
    """Back to the default plan B."""
    return await restore(call.services, path.id, call.caller.actor)


async def listed(services: Services) -> list[RouteAnswer]:
    """Every account's plan B."""
    async with services.database.read() as connection:
        return await _answers(connection)


async def save(services: Services, account_id: str, body: RouteDraft, actor: str) -> RouteAnswer:
    """Write an account's plan B. Error: RefusedError, nothing written."""
    await _refuse_short_days(services, account_id, body)
    async with services.database.write() as connection:
        await _checked(connection, account_id, body)
        now = services.clock.micros()
        await routes.write(
            connection,
            services.database,
            account_id=account_id,
            fallbacks=body.fallbacks,
            mode=Mode.AT_ONCE,
            rules={
                "kinds": {kind.value: mode.value for kind, mode in body.kinds.items()},
                **body.model_dump(include=_EXTRAS),
            },
            now=now,
        )
        said = {"fallbacks": body.fallbacks}
        await note_account(connection, _CHANGED, account_id, actor=actor, now=now, data=said)
        answer = await _answer(connection, account_id)
    answer["warnings"] += await _rehearsed(services, account_id)
    return answer


async def warnings_of(services: Services, account_id: str, body: RouteDraft) -> list[str]:
    """What to know of a plan B that could be written. Error: RefusedError."""
    await _refuse_short_days(services, account_id, body)
    async with services.database.read() as connection:
        rows = await _checked(connection, account_id, body)
    statuses = {row["id"]: row["status"] for row in rows}
    return route_warnings(account_id, {account_id: body.fallbacks}, statuses)


async def restore(services: Services, account_id: str, actor: str) -> RouteAnswer:
    """Back to the default plan B. Error: RefusedError."""
    async with services.database.write() as connection:
        await _answer(connection, account_id)
        await routes.reset(connection, account_id)
        now = services.clock.micros()
        await note_account(connection, _CHANGED, account_id, actor=actor, now=now)
        return await _answer(connection, account_id)


async def _checked(
    connection: Connection, account_id: str, body: RouteDraft
) -> Sequence[Mapping[Any, Any]]:
    """The connected accounts. Error: RefusedError for a route that cannot be."""
    rows = await accounts.listed(connection)
    known = {row["id"] for row in rows}
    if account_id not in known:
        raise not_found("account", account_id)
    errors = route_errors(account_id, body.fallbacks, known)
    if errors:
        raise RefusedError(Refusal.INVALID, "this route leads nowhere", errors)
    return rows


async def _refuse_short_days(services: Services, account_id: str, body: RouteDraft) -> None:
    """Readers of a real page get one digest a day, never one every few seconds."""
    member = (await services.roster.members([account_id])).get(account_id)
    if body.day_seconds is None or (member and practises(member, services.settings)):
        return
    raise invalid(
        "day_seconds", "only an account of the practice platforms has days of its own", "remove it"
    )


async def _rehearsed(services: Services, account_id: str) -> list[str]:
    """What of the queue as it is would find no other road: told now, not on the day."""
    report = await drill_of(services).rehearse(account_id)
    why = Counter(line["why"] for line in report["lines"] if line["road"] == "held")
    return [
        f"{count} of {report['posts']} waiting posts would be held: {reason}"
        for reason, count in why.most_common(5)
    ]


async def _answer(connection: Connection, account_id: str) -> RouteAnswer:
    found = [one for one in await _answers(connection) if one["account_id"] == account_id]
    if not found:
        raise not_found("account", account_id)
    return found[0]


async def _answers(connection: Connection) -> list[RouteAnswer]:
    rows = await accounts.listed(connection)
    own = await routes.stored(connection)
    ways = await routes.effective(connection)
    statuses = {row["id"]: row["status"] for row in rows}
    defaults = {kind.value: mode.value for kind, mode in DEFAULT_RULES.items()}
    rules = {row["id"]: own[row["id"]]["rules"] if row["id"] in own else {} for row in rows}
    return [
        {
            "account_id": row["id"],
            "account": row["name"],
            "channel": row["channel"],
            "fallbacks": list(ways[row["id"]]),
            "kinds": defaults | rules[row["id"]].get("kinds", {}),
            "note": rules[row["id"]].get("note", _PLAIN.note),
            "digest_hour": rules[row["id"]].get("digest_hour", _PLAIN.digest_hour),
            "worth_hours": rules[row["id"]].get("worth_hours", _PLAIN.worth_hours),
            "weekly_mails": rules[row["id"]].get("weekly_mails", _PLAIN.weekly_mails),
            "last_resort": rules[row["id"]].get("last_resort", _PLAIN.last_resort),
            "day_seconds": rules[row["id"]].get("day_seconds"),
            "default": row["id"] not in own,
            "warnings": route_warnings(row["id"], ways, statuses),
        }
        for row in rows
    ]
