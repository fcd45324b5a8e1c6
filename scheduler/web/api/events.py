"""What happens, as it happens: a live stream, and the journal behind it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Annotated, Any

from aiohttp import web
from aiohttp_sse import sse_response
from pydantic import BaseModel, Field
from typing_extensions import TypedDict

from scheduler.answers import stamp
from scheduler.refusals import Refusal, not_found
from scheduler.store import events, posts
from scheduler.store.tokens import Scope
from scheduler.web.api.shapes import ById, Query
from scheduler.web.endpoint import Call, Endpoints
from scheduler.web.feed import Feed, LaggingError

endpoints = Endpoints("events")

FEED: web.AppKey[Feed] = web.AppKey("feed", Feed)


class EventAnswer(TypedDict):
    """One thing that happened. `seq` grows; `kind` such as `delivery.delivered`."""

    seq: int
    at: str
    kind: str
    actor: str
    post_id: str | None
    delivery_id: str | None
    account_id: str | None
    data: dict[str, Any]


class EventList(TypedDict):
    """A part of the journal, oldest first. `next`: pass it as `after` for what follows."""

    events: list[EventAnswer]
    next: int


class Resume(BaseModel):
    """Where a broken stream goes on."""

    last: Annotated[int | None, Field(alias="Last-Event-ID", ge=0)] = None


class StreamQuery(Query):
    """Which events."""

    post: Annotated[str | None, Field(max_length=36)] = None
    account: Annotated[str | None, Field(max_length=36)] = None
    after: Annotated[
        int | None, Field(ge=0, description="First those after this one; default: from now on.")
    ] = None

    def wants(self, row: Mapping[Any, Any]) -> bool:
        return self.post in {None, row["post_id"]} and self.account in {None, row["account_id"]}


class JournalQuery(Query):
    """Which part of the journal."""

    after: Annotated[int, Field(ge=0)] = 0
    limit: Annotated[int, Field(ge=1, le=500)] = 100


@endpoints.get("/events", scope=Scope.READ, media_type="text/event-stream")
async def stream(call: Call, query: StreamQuery, headers: Resume) -> web.StreamResponse:
    """Server-sent events: each with its number as id, its kind as event, JSON as data."""
    after = query.after if headers.last is None else headers.last
    feed = call.request.app[FEED]
    # In this order: who sees that the stream is open misses nothing from then on.
    async with feed.listen(after) as rows, sse_response(call.request) as response:
        with suppress(ConnectionResetError, LaggingError):
            async for row in rows:
                if query.wants(row):
                    text = json.dumps(event_answer(row), ensure_ascii=False)
                    await response.send(text, id=str(row["seq"]), event=row["kind"])
    return response


@endpoints.get("/journal", scope=Scope.READ)
async def journal(call: Call, query: JournalQuery) -> EventList:
    """The journal by number."""
    rows = await events.after(call.services.database, query.after, limit=query.limit)
    return {
        "events": [event_answer(row) for row in rows],
        "next": rows[-1]["seq"] if rows else query.after,
    }


@endpoints.get("/posts/{id}/events", scope=Scope.READ, refusals=(Refusal.NOT_FOUND,))
async def of_post(call: Call, path: ById) -> EventList:
    """A post's timeline."""
    async with call.services.database.read() as connection:
        if await posts.get(connection, path.id) is None:
            raise not_found("post", path.id)
    rows = await events.of_post(call.services.database, path.id)
    return {
        "events": [event_answer(row) for row in rows],
        "next": rows[-1]["seq"] if rows else 0,
    }


def event_answer(row: Mapping[Any, Any]) -> EventAnswer:
    return {
        "seq": row["seq"],
        "at": stamp(row["at"]),
        "kind": row["kind"],
        "actor": row["actor"],
        "post_id": row["post_id"],
        "delivery_id": row["delivery_id"],
        "account_id": row["account_id"],
        "data": row["data"],
    }
