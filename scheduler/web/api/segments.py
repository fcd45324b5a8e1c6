"""Segments: saved filters over contacts, which say whom a post is for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Protocol

from pydantic import Field
from typing_extensions import TypedDict

from scheduler.answers import Row, stamp
from scheduler.audience.filters import BoundedFilter, Filter, lists_named, parse, to_json
from scheduler.drafts import MediaId, Name, Strict
from scheduler.refusals import FieldError, Refusal, RefusedError, conflict, not_found
from scheduler.services import Services
from scheduler.store import lists, segments
from scheduler.store.db import Connection
from scheduler.store.tokens import Scope
from scheduler.web.api.contacts import ContactAnswer, ContactPage, contact_answer
from scheduler.web.api.shapes import ById, Query
from scheduler.web.endpoint import Call, Endpoints

endpoints = Endpoints("segments")

_ONE = (Refusal.NOT_FOUND,)
_SHOWN = 10
_Filter = Annotated[
    BoundedFilter,
    Field(
        description="Conditions: `all`, `any`, `not`; `language`, `tag`, `list`, `attribute`;"
        " `created`, `subscribed`, `confirmed`, `written`, `heard`.",
        examples=[
            {
                "kind": "all",
                "of": [{"kind": "tag", "is": "vip"}, {"kind": "written", "not_for_months": 12}],
            }
        ],
    ),
]


class SegmentDraft(Strict):
    """A segment to be."""

    name: Name
    filter: _Filter


class SegmentChange(Strict):
    """What to change of a segment: only the fields sent. Mailings that are under way keep the
    people they began with."""

    name: Name | None = None
    filter: _Filter | None = None


class SegmentLook(Strict):
    """A filter to try. `list`: count only subscribers of it, as its newsletter would."""

    filter: _Filter
    list: MediaId | None = None


class MembersQuery(Query):
    """Whom to show; `after` is `next` of the page before."""

    list: Annotated[str | None, Field(max_length=36)] = None
    after: Annotated[str | None, Field(max_length=36)] = None
    limit: Annotated[int, Field(ge=1, le=200)] = 50


class SegmentAnswer(TypedDict):
    """A segment. Whom it means is worked out when a mailing starts."""

    id: str
    name: str
    filter: dict[str, Any]
    created_at: str
    updated_at: str


class SegmentList(TypedDict):
    """All segments."""

    segments: list[SegmentAnswer]


class LookAnswer(TypedDict):
    """Whom a filter means now: how many, and the first of them."""

    count: int
    contacts: list[ContactAnswer]


@endpoints.get("/segments", scope=Scope.READ)
async def index(call: Call) -> SegmentList:
    """All segments, oldest first."""
    async with call.services.database.read() as connection:
        return {"segments": [_answer(row) for row in await segments.listed(connection)]}


@endpoints.post("/segments", scope=Scope.WRITE, status=201)
async def create(call: Call, body: SegmentDraft) -> SegmentAnswer:
    """Save a filter under a name, for posts to name in `to`."""
    async with call.services.database.write() as connection:
        await _refuse_unknown_lists(connection, body.filter)
        values = {"name": body.name, "filter": to_json(body.filter)}
        now = call.services.clock.micros()
        return await _one(connection, await segments.create(connection, values, now=now))


@endpoints.post("/segments/preview", scope=Scope.READ)
async def preview(call: Call, body: SegmentLook) -> LookAnswer:
    """Whom a filter would mean now, without saving it."""
    async with call.services.database.read() as connection:
        await _refuse_unknown_lists(connection, body.filter)
        return await _look(call, connection, body.filter, body.list)


@endpoints.get("/segments/{id}", scope=Scope.READ, refusals=_ONE)
async def read(call: Call, path: ById) -> SegmentAnswer:
    """One segment."""
    async with call.services.database.read() as connection:
        return await _one(connection, path.id)


@endpoints.get("/segments/{id}/contacts", scope=Scope.READ, refusals=_ONE)
async def members(call: Call, path: ById, query: MembersQuery) -> ContactPage:
    """Whom a segment means now."""
    services = call.services
    async with services.database.read() as connection:
        one = await _one(connection, path.id)
        rows = await segments.members(
            services.database, connection, parse(one["filter"]), list_id=query.list,
            after=query.after, limit=query.limit, now=services.clock.micros(),
        )  # fmt: skip
    full = len(rows) == query.limit
    return {
        "contacts": [contact_answer(row) for row in rows],
        "next": rows[-1]["id"] if full else None,
    }


@endpoints.get("/segments/{id}/count", scope=Scope.READ, refusals=_ONE)
async def count(call: Call, path: ById, query: MembersQuery) -> LookAnswer:
    """How many people a segment means now, and the first of them."""
    async with call.services.database.read() as connection:
        one = await _one(connection, path.id)
        return await _look(call, connection, parse(one["filter"]), query.list)


@endpoints.patch("/segments/{id}", scope=Scope.WRITE, refusals=_ONE)
async def change(call: Call, path: ById, body: SegmentChange) -> SegmentAnswer:
    """Rename a segment, or mean others from now on; scheduled posts follow."""
    values: dict[str, Any] = {} if body.name is None else {"name": body.name}
    async with call.services.database.write() as connection:
        await _one(connection, path.id)
        if body.filter is not None:
            await _refuse_unknown_lists(connection, body.filter)
            values["filter"] = to_json(body.filter)
        await segments.change(connection, path.id, values, now=call.services.clock.micros())
        return await _one(connection, path.id)


@endpoints.delete("/segments/{id}", scope=Scope.WRITE, refusals=(*_ONE, Refusal.CONFLICT))
async def remove(call: Call, path: ById) -> None:
    """Forget a segment; refused while a post is waiting for it."""
    services = call.services
    async with services.database.write() as connection:
        await _one(connection, path.id)
        waiting = await segments.used_by(services.database, connection, path.id, limit=4)
        if waiting:
            named = ", ".join(f"“{title}”" for title in waiting[:3])
            more = " and more" if len(waiting) > 3 else ""
            raise conflict(
                f"posts are waiting for this segment: {named}{more}",
                "let them go out, cancel them, or change their `to` first",
            )
        await segments.remove(connection, path.id)


class Addressed(Protocol):
    """Words that may be for a segment."""

    @property
    def to(self) -> str | None: ...


def within(posts: Sequence[Addressed]) -> list[tuple[str, Addressed]]:
    """The posts of a story, with the prefix of their fields."""
    return [(f"posts[{index}].", one) for index, one in enumerate(posts)]


async def refuse_unknown_segments(
    services: Services, words: Iterable[tuple[str, Addressed]]
) -> None:
    """Refuse what is for a segment that is not there. `words`: with the field's prefix."""
    named = {f"{prefix}to": one.to for prefix, one in words if one.to is not None}
    if not named:
        return
    async with services.database.read() as connection:
        missing = await segments.unknown(connection, sorted(set(named.values())))
    if missing:
        raise RefusedError(
            Refusal.INVALID,
            "nobody knows whom this is for",
            [
                FieldError(field, f"there is no segment {one!r}", "see GET /api/v1/segments")
                for field, one in named.items()
                if one in missing
            ],
        )


async def _refuse_unknown_lists(connection: Connection, node: Filter) -> None:
    known = {row["id"] for row in await lists.listed(connection)}
    missing = sorted(lists_named(node) - known)
    if missing:
        raise RefusedError(
            Refusal.INVALID,
            "the filter speaks of a list that is not there",
            [FieldError("filter", f"there is no list {missing[0]!r}", "see GET /api/v1/lists")],
        )


async def _look(
    call: Call, connection: Connection, node: Filter, list_id: str | None
) -> LookAnswer:
    services, now = call.services, call.services.clock.micros()
    rows = await segments.members(
        services.database, connection, node, list_id=list_id, after=None, limit=_SHOWN, now=now
    )
    found = await segments.count(services.database, connection, node, list_id=list_id, now=now)
    return {"count": found, "contacts": [contact_answer(row) for row in rows]}


async def _one(connection: Connection, segment_id: str) -> SegmentAnswer:
    row = await segments.get(connection, segment_id)
    if row is None:
        raise not_found("segment", segment_id)
    return _answer(row)


def _answer(row: Row) -> SegmentAnswer:
    return {
        "id": row["id"],
        "name": row["name"],
        "filter": row["filter"],
        "created_at": stamp(row["created_at"]),
        "updated_at": stamp(row["updated_at"]),
    }
