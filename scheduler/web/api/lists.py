"""Lists: what people sign up for."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field
from typing_extensions import TypedDict

from scheduler.answers import Row, stamp
from scheduler.audience.tracking import Kind, kinds_in, stored_as
from scheduler.drafts import Language, Name, Strict, Text
from scheduler.refusals import Refusal, not_found
from scheduler.store import lists
from scheduler.store.db import Connection
from scheduler.store.tokens import Scope
from scheduler.web.api.shapes import ById
from scheduler.web.endpoint import Call, Endpoints

endpoints = Endpoints("lists")

_ONE = (Refusal.NOT_FOUND,)
_Wording = Annotated[
    Text,
    Field(max_length=1000, description="What people agree to; empty: the usual sentence."),
]


_Tracking = Annotated[
    list[Kind],
    Field(
        max_length=len(Kind),
        description="What readers may agree to beside, each with a box of its own that is not"
        " ticked: that their clicks, or their openings, are noted with their name.",
    ),
]


class ListDraft(Strict):
    """A list to be."""

    name: Name
    description: Annotated[Text, Field(max_length=1000)] = ""
    language: Language | Annotated[str, Field(max_length=0)] = ""
    wording: _Wording = ""
    open: Annotated[bool, Field(description="People may sign up.")] = True
    archive: Annotated[bool, Field(description="A public page for each mailing.")] = False
    indexed: Annotated[bool, Field(description="Search engines may list those pages.")] = False
    clicks: Annotated[bool, Field(description="Links lead by us and are counted.")] = False
    tracking: Annotated[_Tracking, Field(default_factory=list)]


class ListChange(Strict):
    """What to change of a list: only the fields sent."""

    name: Name | None = None
    description: Annotated[Text, Field(max_length=1000)] | None = None
    language: Language | None = None
    wording: _Wording | None = None
    open: bool | None = None
    archive: bool | None = None
    indexed: bool | None = None
    clicks: bool | None = None
    tracking: _Tracking | None = None


class ListAnswer(TypedDict):
    """A list. The list of an account has the account's id; `signup` is the page to sign up
    at, `letters` that of its archive."""

    id: str
    name: str
    description: str
    language: str
    wording: str
    open: bool
    archive: bool
    indexed: bool
    clicks: bool
    tracking: list[str]
    letters: str
    signup: str
    subscribed: int
    pending: int
    unsubscribed: int
    created_at: str


class ListList(TypedDict):
    """All lists, oldest first."""

    lists: list[ListAnswer]


@endpoints.get("/lists", scope=Scope.READ)
async def index(call: Call) -> ListList:
    """All lists, and how many people are on them."""
    async with call.services.database.read() as connection:
        rows = await lists.listed(connection)
        counts = await lists.counts(connection)
    return {"lists": [_answer(call, row, counts.get(row["id"], {})) for row in rows]}


@endpoints.post("/lists", scope=Scope.WRITE, status=201)
async def create(call: Call, body: ListDraft) -> ListAnswer:
    """Make a list."""
    async with call.services.database.write() as connection:
        list_id = await lists.create(
            connection, _columns(body.model_dump()), now=call.services.clock.micros()
        )
    return await _one(call, list_id)


@endpoints.get("/lists/{id}", scope=Scope.READ, refusals=_ONE)
async def read(call: Call, path: ById) -> ListAnswer:
    """One list; an account's is made when it is first asked for."""
    async with call.services.database.write() as connection:
        await _found(call, connection, path.id)
    return await _one(call, path.id)


@endpoints.patch("/lists/{id}", scope=Scope.WRITE, refusals=_ONE)
async def change(call: Call, path: ById, body: ListChange) -> ListAnswer:
    """Change a list; another wording holds for those who sign up from now on."""
    values = _columns(body.model_dump(exclude_none=True))
    async with call.services.database.write() as connection:
        await _found(call, connection, path.id)
        await lists.change(connection, path.id, values)
    return await _one(call, path.id)


def _columns(values: dict[str, Any]) -> dict[str, Any]:
    kinds = values.pop("tracking", None)
    return values if kinds is None else {**values, "tracking": stored_as(set(kinds))}


async def _found(call: Call, connection: Connection, list_id: str) -> None:
    services = call.services
    row = await lists.find(connection, services.database, list_id, now=services.clock.micros())
    if row is None:
        raise not_found("list", list_id)


async def _one(call: Call, list_id: str) -> ListAnswer:
    """A list that is there. A long one takes long to count, and nobody who writes waits for it."""
    async with call.services.database.read() as connection:
        row = await lists.get(connection, list_id)
        assert row is not None  # lists are never deleted
        counts = await lists.counts(connection, list_id)
    return _answer(call, row, counts.get(list_id, {}))


def _answer(call: Call, row: Row, counts: dict[str, int]) -> ListAnswer:
    return {
        "id": row["id"],
        "name": row["name"],
        "description": row["description"],
        "language": row["language"],
        "wording": row["wording"],
        "open": row["open"],
        "archive": row["archive"],
        "indexed": row["indexed"],
        "clicks": row["clicks"],
        "tracking": sorted(kinds_in(row["tracking"])),
        "letters": f"{call.services.settings.effective_public_url}/letters/{row['id']}",
        "signup": f"{call.services.settings.effective_public_url}/signup/{row['id']}",
        "subscribed": counts.get("subscribed", 0),
        "pending": counts.get("pending", 0),
        "unsubscribed": counts.get("unsubscribed", 0),
        "created_at": stamp(row["created_at"]),
    }
