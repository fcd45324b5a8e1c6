"""Plan B by hand: approve, undo, catch up; how closely an account is watched."""

from __future__ import annotations

from typing import Any

from typing_extensions import TypedDict

from scheduler.answers import DeliveryDetail
from scheduler.care import comeback_of, plan_b_of, undo_of
from scheduler.policy import AccountPolicy
from scheduler.refusals import Refusal, not_found
from scheduler.store import accounts
from scheduler.store.tokens import Scope
from scheduler.web.api.deliveries import detail
from scheduler.web.api.shapes import ById
from scheduler.web.endpoint import Call, Endpoints

endpoints = Endpoints("plan B")

_DECISIONS = (Refusal.NOT_FOUND, Refusal.CONFLICT)


class UndoneAnswer(TypedDict):
    """How many deliveries came back to the account, and how many had left by the other road."""

    undone: int
    kept: int


class CatchUpAnswer(TypedDict):
    """What one post says of what followers missed; `post_id` null: only shown."""

    title: str
    body: str
    posts: int
    post_id: str | None


@endpoints.post("/deliveries/{id}/approve", scope=Scope.WRITE, refusals=_DECISIONS)
async def approve(call: Call, path: ById) -> DeliveryDetail:
    """Let a held delivery take its other road now."""
    await plan_b_of(call.services, call.caller.actor).approve(path.id)
    return await detail(call.services, path.id)


@endpoints.post("/deliveries/{id}/undo", scope=Scope.WRITE, refusals=_DECISIONS)
async def undo(call: Call, path: ById) -> DeliveryDetail:
    """Take a reroute back while nothing of it has left. 409 after that."""
    await undo_of(call.services).one(path.id, call.caller.actor)
    return await detail(call.services, path.id)


@endpoints.post("/accounts/{id}/undo", scope=Scope.WRITE, refusals=_DECISIONS)
async def undo_all(call: Call, path: ById) -> UndoneAnswer:
    """Take back every reroute of the last day that has not left yet."""
    undone, kept = await undo_of(call.services).account(path.id, call.caller.actor)
    return {"undone": undone, "kept": kept}


@endpoints.get("/accounts/{id}/catch-up", scope=Scope.READ, refusals=_DECISIONS)
async def show_catch_up(call: Call, path: ById) -> CatchUpAnswer:
    """What a catch-up post would say on a page that returned."""
    shown = await comeback_of(call.services).preview(path.id)
    return {"title": shown.title, "body": shown.body, "posts": shown.posts, "post_id": None}


@endpoints.post("/accounts/{id}/catch-up", scope=Scope.WRITE, refusals=_DECISIONS)
async def catch_up(call: Call, path: ById) -> CatchUpAnswer:
    """Name on a page that returned what was said elsewhere meanwhile: one post, once."""
    comeback = comeback_of(call.services)
    shown = await comeback.preview(path.id)
    post_id = await comeback.publish(path.id, call.caller.actor)
    return {"title": shown.title, "body": shown.body, "posts": shown.posts, "post_id": post_id}


@endpoints.get("/accounts/{id}/policy", scope=Scope.READ, refusals=(Refusal.NOT_FOUND,))
async def policy(call: Call, path: ById) -> dict[str, Any]:
    """How closely the account is watched; null: as the service's settings say."""
    async with call.services.database.read() as connection:
        row = await accounts.get(connection, path.id)
    if row is None:
        raise not_found("account", path.id)
    return AccountPolicy.model_validate(row["policy"]).model_dump()


@endpoints.put("/accounts/{id}/policy", scope=Scope.ADMIN, refusals=(Refusal.NOT_FOUND,))
async def set_policy(call: Call, path: ById, body: AccountPolicy) -> dict[str, Any]:
    """Watch an account more closely, or less."""
    async with call.services.database.write() as connection:
        if await accounts.get(connection, path.id) is None:
            raise not_found("account", path.id)
        await accounts.set_policy(
            connection, path.id, body.model_dump(exclude_none=True), call.services.clock.micros()
        )
    return body.model_dump()
