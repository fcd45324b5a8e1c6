"""Deliveries: read, list, and what a person decides about one."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from typing_extensions import TypedDict

from scheduler.answers import (
    DeliveryAnswer,
    DeliveryDetail,
    attempt_answer,
    delivery_answer,
)
from scheduler.deliveries import State
from scheduler.drafts import MediaId, Strict, WebAddress
from scheduler.refusals import Refusal, not_found
from scheduler.services import Services
from scheduler.store import posts, recipients
from scheduler.store.tokens import Scope
from scheduler.web.api.shapes import ById, Page, cursor
from scheduler.web.endpoint import Call, Endpoints

endpoints = Endpoints("deliveries")

_DECISIONS = (Refusal.NOT_FOUND, Refusal.CONFLICT)
_WITHDRAWALS = (*_DECISIONS, Refusal.PLATFORM)


class DeliveriesQuery(Page):
    """Which deliveries."""

    state: State | None = None
    account: Annotated[str | None, Field(max_length=36)] = None


class DeliveryList(TypedDict):
    """A page of deliveries, by due time. `next`: the cursor of the page after."""

    deliveries: list[DeliveryAnswer]
    next: str | None


class Redirection(Strict):
    """Where it goes instead."""

    account_id: MediaId


class Settlement(Strict):
    """What a person saw on the platform."""

    published: Annotated[bool, Field(description="true: it is there; false: send it again.")]
    url: Annotated[WebAddress | None, Field(description="Where readers see it.")] = None


@endpoints.get("/deliveries", scope=Scope.READ)
async def index(call: Call, query: DeliveriesQuery) -> DeliveryList:
    """Deliveries by due time: those held, those failed, those of one account."""
    async with call.services.database.read() as connection:
        rows = await posts.delivery_page(
            connection,
            state=query.state,
            account=query.account,
            after=query.after,
            limit=query.limit + 1,
        )
    shown = rows[: query.limit]
    last = shown[-1] if len(rows) > query.limit else None
    return {
        "deliveries": [delivery_answer(row) for row in shown],
        "next": None if last is None else cursor(last["due_at"], last["id"]),
    }


@endpoints.get("/deliveries/{id}", scope=Scope.READ, refusals=(Refusal.NOT_FOUND,))
async def read(call: Call, path: ById) -> DeliveryDetail:
    """A delivery with everything that was tried."""
    return await detail(call.services, path.id)


@endpoints.post("/deliveries/{id}/cancel", scope=Scope.WRITE, refusals=_DECISIONS)
async def cancel(call: Call, path: ById) -> DeliveryDetail:
    """Do not publish it. 409 when it may be under way already."""
    await call.services.desk.cancel(path.id, call.caller.actor)
    return await detail(call.services, path.id)


@endpoints.post("/deliveries/{id}/retry", scope=Scope.WRITE, refusals=_DECISIONS)
async def retry(call: Call, path: ById) -> DeliveryDetail:
    """Try again now what is held or failed. 409 when it may have been published: settle it."""
    await call.services.desk.retry(path.id, call.caller.actor)
    return await detail(call.services, path.id)


@endpoints.post("/deliveries/{id}/redirect", scope=Scope.WRITE, refusals=_DECISIONS)
async def redirect(call: Call, path: ById, body: Redirection) -> DeliveryDetail:
    """Send it by another account; the answer is the new delivery."""
    child = await call.services.desk.redirect(path.id, body.account_id, call.caller.actor)
    return await detail(call.services, child)


@endpoints.post("/deliveries/{id}/settle", scope=Scope.WRITE, refusals=_DECISIONS)
async def settle(call: Call, path: ById, body: Settlement) -> DeliveryDetail:
    """Say whether an unconfirmed or held delivery is on the platform."""
    await call.services.desk.settle(
        path.id, published=body.published, url=body.url, actor=call.caller.actor
    )
    return await detail(call.services, path.id)


@endpoints.post("/deliveries/{id}/withdraw", scope=Scope.WRITE, refusals=_WITHDRAWALS)
async def withdraw(call: Call, path: ById) -> DeliveryDetail:
    """Take down what was published; again, without harm. 409 when it is not published, or its
    account refuses us; 422 when its channel cannot; 502 when the platform did not do it, or does
    not say: ask again."""
    await call.services.withdrawer.one(path.id, call.caller.actor)
    return await detail(call.services, path.id)


async def detail(services: Services, delivery_id: str) -> DeliveryDetail:
    """A delivery as `read` answers it. Error: RefusedError when there is none."""
    async with services.database.read() as connection:
        row = await posts.delivery(connection, delivery_id)
        if row is None:
            raise not_found("delivery", delivery_id)
        tried = await posts.attempts_of(connection, [delivery_id])
        counts = await recipients.tally(connection, delivery_id)
    return {
        **delivery_answer(row),
        "attempts": [attempt_answer(one) for one in tried],
        "recipients": {state.value: count for state, count in counts.items()},
    }
