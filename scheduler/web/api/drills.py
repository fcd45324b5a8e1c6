"""Drills: rehearse plan B on a calm day."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field
from typing_extensions import TypedDict

from scheduler.answers import stamp
from scheduler.care import drill_of, live_drill_of
from scheduler.drafts import MediaId, Strict
from scheduler.drill import DrillReport
from scheduler.refusals import Refusal, not_found
from scheduler.services import Services
from scheduler.store import drills
from scheduler.store.tokens import Scope
from scheduler.web.api.shapes import ById, Query
from scheduler.web.endpoint import Call, Endpoints

endpoints = Endpoints("drills")


class DrillDraft(Strict):
    """Which account is to be lost."""

    account_id: MediaId
    live: Annotated[
        bool,
        Field(description="On a practice platform: the page really vanishes, and returns."),
    ] = False


class DrillsQuery(Query):
    """How many."""

    limit: Annotated[int, Field(ge=1, le=100)] = 20


class DrillAnswer(TypedDict):
    """A drill and what it found."""

    id: str
    at: str
    live: bool
    actor: str
    report: DrillReport


class DrillList(TypedDict):
    """Drills, newest first."""

    drills: list[DrillAnswer]


@endpoints.post(
    "/drills",
    scope=Scope.WRITE,
    status=201,
    refusals=(Refusal.NOT_FOUND, Refusal.CONFLICT, Refusal.UNAVAILABLE),
)
async def run(call: Call, body: DrillDraft) -> DrillAnswer:
    """What would go where, when, in which words, if this account were gone; who not reached."""
    return await _answer(
        call, await rehearse(call.services, body.account_id, call.caller.actor, live=body.live)
    )


@endpoints.get("/drills", scope=Scope.READ)
async def index(call: Call, query: DrillsQuery) -> DrillList:
    """The last drills."""
    async with call.services.database.read() as connection:
        rows = await drills.listed(connection, query.limit)
    return {"drills": [_shown(row) for row in rows]}


@endpoints.get("/drills/{id}", scope=Scope.READ, refusals=(Refusal.NOT_FOUND,))
async def read(call: Call, path: ById) -> DrillAnswer:
    """One drill's report."""
    return await _answer(call, path.id)


async def rehearse(services: Services, account_id: str, actor: str, *, live: bool) -> str:
    """Run a drill and keep its report; its id. Error: RefusedError."""
    if live:
        report = await live_drill_of(services, actor).run(account_id, actor)
    else:
        report = await drill_of(services).rehearse(account_id)
    async with services.database.write() as connection:
        return await drills.keep(
            connection, account_id=account_id, live=live, actor=actor, report=report,
            now=services.clock.micros(),
        )  # fmt: skip


async def _answer(call: Call, drill_id: str) -> DrillAnswer:
    async with call.services.database.read() as connection:
        row = await drills.get(connection, drill_id)
    if row is None:
        raise not_found("drill", drill_id)
    return _shown(row)


def _shown(row: Mapping[Any, Any]) -> DrillAnswer:
    return {
        "id": row["id"],
        "at": stamp(row["at"]),
        "live": row["live"],
        "actor": row["actor"],
        "report": row["report"],
    }
