"""Recurrences: what comes round again; create, preview, list, skip one time, end."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from typing_extensions import TypedDict

from scheduler.drafts import Strict
from scheduler.recurrence import RecurrenceDraft, Skip
from scheduler.recurrence_answers import RecurrenceAnswer, recurrence_answer
from scheduler.recurring import Recurring
from scheduler.refusals import Refusal, not_found
from scheduler.services import Services
from scheduler.store import recurrences
from scheduler.store.tokens import Scope
from scheduler.web.api.posts import Keyed
from scheduler.web.api.segments import refuse_unknown_segments, within
from scheduler.web.api.shapes import ById, Page, cursor
from scheduler.web.endpoint import Answer, Call, Endpoints

endpoints = Endpoints("recurrences")

_CHANGES = (Refusal.NOT_FOUND, Refusal.CONFLICT)


class End(Strict):
    """How to end it."""

    keep_planned: Annotated[
        bool, Field(description="Leave what is planned already; otherwise it is cancelled.")
    ] = False


class RecurrenceList(TypedDict):
    """A page of recurrences. `next`: the cursor of the page after, null at the end."""

    recurrences: list[RecurrenceAnswer]
    next: str | None


@endpoints.post("/recurrences", scope=Scope.WRITE, status=201, refusals=(Refusal.KEY_REUSED,))
async def create(call: Call, body: RecurrenceDraft, headers: Keyed) -> Answer[RecurrenceAnswer]:
    """Have a story come round again: 201 means that it is stored and what is near is planned."""
    await refuse_unknown_segments(call.services, within(body.posts))
    made = await Recurring(call.services.campaigner).create(body, call.caller, headers.key)
    found = {"Location": f"/api/v1/recurrences/{made.answer['id']}"}
    if made.replayed:
        found["Idempotency-Replayed"] = "true"
    return Answer(made.answer, headers=found)


@endpoints.post("/recurrences/preview", scope=Scope.READ)
async def preview(call: Call, body: RecurrenceDraft) -> RecurrenceAnswer:
    """When it would come round, without saving anything."""
    await refuse_unknown_segments(call.services, within(body.posts))
    row = await Recurring(call.services.campaigner).plan(body, call.caller.actor)
    return recurrence_answer(row, row["created_at"])


@endpoints.get("/recurrences", scope=Scope.READ)
async def index(call: Call, query: Page) -> RecurrenceList:
    """Recurrences, newest first."""
    async with call.services.database.read() as connection:
        rows = await recurrences.page(connection, after=query.after, limit=query.limit + 1)
    shown = rows[: query.limit]
    last = shown[-1] if len(rows) > query.limit else None
    now = call.services.clock.micros()
    return {
        "recurrences": [recurrence_answer(row, now) for row in shown],
        "next": None if last is None else cursor(last["created_at"], last["id"]),
    }


@endpoints.get("/recurrences/{id}", scope=Scope.READ, refusals=(Refusal.NOT_FOUND,))
async def read(call: Call, path: ById) -> RecurrenceAnswer:
    """A recurrence and its next times; its campaigns: GET /api/v1/campaigns?recurrence=."""
    return await _answer(call.services, path.id)


@endpoints.post("/recurrences/{id}/skip", scope=Scope.WRITE, refusals=_CHANGES)
async def skip(call: Call, path: ById, body: Skip) -> RecurrenceAnswer:
    """Leave out one day or time; what is planned for it is cancelled."""
    recurring = Recurring(call.services.campaigner)
    await recurring.skip(path.id, body.occurrence, call.caller.actor)
    return await _answer(call.services, path.id)


@endpoints.post("/recurrences/{id}/end", scope=Scope.WRITE, refusals=_CHANGES)
async def end(call: Call, path: ById, body: End) -> RecurrenceAnswer:
    """No further occurrence."""
    recurring = Recurring(call.services.campaigner)
    await recurring.end(path.id, call.caller.actor, keep_planned=body.keep_planned)
    return await _answer(call.services, path.id)


async def _answer(services: Services, recurrence_id: str) -> RecurrenceAnswer:
    async with services.database.read() as connection:
        row = await recurrences.get(connection, recurrence_id)
    if row is None:
        raise not_found("recurrence", recurrence_id)
    return recurrence_answer(row, services.clock.micros())
