"""Contacts: the people we write to, the proof that we may, and what they may ask of us."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, AwareDatetime, Field
from typing_extensions import TypedDict

from scheduler.answers import Row, stamp, stamp_or_none
from scheduler.audience.address import AddressError, usable_address
from scheduler.audience.exporting import person
from scheduler.audience.filters import AttributeName
from scheduler.audience.rows import DAY
from scheduler.audience.suppression import fingerprint, normal_address
from scheduler.audience.wording import version_of
from scheduler.clock import micros
from scheduler.drafts import Language, MediaId, Name, Strict, Text
from scheduler.refusals import Refusal, conflict, invalid, not_found
from scheduler.store import audience, contacts, lists
from scheduler.store.audience import Action, Consent, Standing
from scheduler.store.db import Connection
from scheduler.store.recipients import suppressed
from scheduler.store.tokens import Scope
from scheduler.web.api.shapes import ById, Query
from scheduler.web.endpoint import Call, Endpoints
from scheduler.web.public import key_of

endpoints = Endpoints("contacts")

_ONE = (Refusal.NOT_FOUND,)


def _spelt(text: str) -> str:
    """As it would be stored, an international domain too."""
    try:
        return usable_address(text)
    except AddressError:
        return normal_address(text)


def _email(text: str) -> str:
    try:
        return usable_address(text)
    except AddressError as error:
        raise ValueError(str(error)) from error


Email = Annotated[str, Field(max_length=320), AfterValidator(_email)]
Attributes = Annotated[
    dict[AttributeName, Annotated[Text, Field(max_length=1000)]],
    Field(max_length=100, description="What `{{name}}` in a mail stands for."),
]
Tags = Annotated[list[Name], Field(max_length=100)]


class ConsentDraft(Strict):
    """How you know that they agreed. Without proof, have them sign up themselves."""

    source: Annotated[Text, Field(min_length=1, max_length=500, description="Where, on what.")]
    wording: Annotated[Text, Field(max_length=2000, description="Word for word.")] = ""
    at: Annotated[AwareDatetime | None, Field(description="When; null: now.")] = None


class ContactDraft(Strict):
    """Somebody to write to. `lists` need `consent`."""

    email: Email
    name: Annotated[Text, Field(max_length=200)] = ""
    language: Language | Annotated[str, Field(max_length=0)] = ""
    attributes: Annotated[Attributes, Field(default_factory=dict)]
    tags: Annotated[Tags, Field(default_factory=list)]
    lists: Annotated[
        list[MediaId], Field(max_length=50, default_factory=list, description="List ids.")
    ]
    consent: ConsentDraft | None = None


class ContactChange(Strict):
    """What to change of somebody: only the fields sent."""

    name: Annotated[Text, Field(max_length=200)] | None = None
    language: Language | None = None
    attributes: Attributes | None = None
    tags: Tags | None = None


class Leaving(Strict):
    """Which list somebody leaves, and how you know."""

    list: MediaId
    source: Annotated[Text, Field(min_length=1, max_length=500)] = "asked the owner"


class ContactQuery(Query):
    """Which contacts; `after` is `next` of the page before."""

    list: Annotated[str | None, Field(max_length=36)] = None
    state: Standing | None = None
    email: Annotated[str | None, Field(max_length=320)] = None
    after: Annotated[str | None, Field(max_length=36)] = None
    limit: Annotated[int, Field(ge=1, le=200)] = 50


class ContactAnswer(TypedDict):
    """Somebody we know. `contacted_at`: when we last wrote to them; `heard_at`: they to us."""

    id: str
    email: str | None
    name: str
    language: str
    attributes: dict[str, str]
    tags: list[str]
    created_at: str
    contacted_at: str | None
    heard_at: str | None


class ContactPage(TypedDict):
    """A part of all contacts, in the order of their arrival."""

    contacts: list[ContactAnswer]
    next: str | None


class WholeContact(TypedDict):
    """Everything we hold about one person."""

    contact: dict[str, Any]


@endpoints.get("/contacts", scope=Scope.READ)
async def index(call: Call, query: ContactQuery) -> ContactPage:
    """Contacts, by list, state or address."""
    async with call.services.database.read() as connection:
        if query.email is not None:
            found = await contacts.by_email(connection, _spelt(query.email))
            return {"contacts": [] if found is None else [contact_answer(found)], "next": None}
        rows = await contacts.page(
            connection, list_id=query.list, state=query.state, after=query.after, limit=query.limit
        )
    full = len(rows) == query.limit
    return {
        "contacts": [contact_answer(row) for row in rows],
        "next": rows[-1]["id"] if full else None,
    }


@endpoints.post("/contacts", scope=Scope.WRITE, status=201, refusals=(Refusal.CONFLICT,))
async def create(call: Call, body: ContactDraft) -> WholeContact:
    """Add somebody, or put somebody we know on further lists. Who is erased, has complained or
    has left a list can only come back by signing up themselves."""
    if body.lists and body.consent is None:
        raise invalid("consent", "nobody is put on a list without proof", "say where they agreed")
    services = call.services
    now = services.clock.micros()
    async with services.database.write() as connection:
        barred = await suppressed(connection, [fingerprint(key_of(services), body.email)])
        if barred:
            raise conflict(
                "nobody may write to this address: it was erased, complained, or does not exist",
                "have them sign up themselves",
                "email",
            )
        values = body.model_dump(exclude={"lists", "consent"})
        contact_id, _ = await contacts.meet(connection, services.database, values, now=now)
        for position, list_id in enumerate(body.lists):
            await _join(call, connection, contact_id, list_id, f"lists[{position}]", body, now)
        return {"contact": await _whole(connection, contact_id)}


@endpoints.get("/contacts/{id}", scope=Scope.READ, refusals=_ONE)
async def read(call: Call, path: ById) -> WholeContact:
    """Everything we hold about somebody, as they may ask for: lists, evidence, mails."""
    async with call.services.database.read() as connection:
        return {"contact": await _whole(connection, path.id)}


@endpoints.patch("/contacts/{id}", scope=Scope.WRITE, refusals=_ONE)
async def change(call: Call, path: ById, body: ContactChange) -> WholeContact:
    """Correct what we know of somebody."""
    values = body.model_dump(exclude_none=True)
    async with call.services.database.write() as connection:
        await _whole(connection, path.id)
        await contacts.change(connection, path.id, values, now=call.services.clock.micros())
        return {"contact": await _whole(connection, path.id)}


@endpoints.post("/contacts/{id}/unsubscribe", scope=Scope.WRITE, refusals=_ONE)
async def unsubscribe(call: Call, path: ById, body: Leaving) -> WholeContact:
    """Take somebody off a list, who asked by telephone, say."""
    async with call.services.database.write() as connection:
        await _whole(connection, path.id)
        await audience.unsubscribe(
            connection,
            contact_id=path.id,
            list_id=body.list,
            source=f"{body.source} ({call.caller.actor})",
            now=call.services.clock.micros(),
        )
        return {"contact": await _whole(connection, path.id)}


@endpoints.delete("/contacts/{id}", scope=Scope.WRITE, refusals=_ONE)
async def erase(call: Call, path: ById) -> None:
    """Forget somebody for good. A keyed hash of the address stays, so that no import brings them
    back."""
    services = call.services
    async with services.database.write() as connection:
        erased = await contacts.erase(
            connection,
            services.database,
            contact_id=path.id,
            key=key_of(services),
            now=services.clock.micros(),
        )
    if not erased:
        raise not_found("contact", path.id)


async def _join(
    call: Call,
    connection: Connection,
    contact_id: str,
    list_id: str,
    field: str,
    body: ContactDraft,
    now: int,
) -> None:
    assert body.consent is not None  # refused before
    database = call.services.database
    if await lists.find(connection, database, list_id, now=now) is None:
        raise invalid(field, f"there is no list {list_id!r}", "see GET /api/v1/lists")
    there = await audience.standing(connection, contact_id, list_id)
    if there is not None and there["state"] == Standing.UNSUBSCRIBED:
        raise conflict("they left this list", "have them sign up themselves", field)
    agreed_at = now if body.consent.at is None else micros(body.consent.at)
    if agreed_at > now + DAY:
        raise invalid("consent.at", "it is still to come", "say when they agreed, or leave it out")
    await audience.subscribe(
        connection,
        database,
        contact_id=contact_id,
        list_id=list_id,
        consent=Consent(
            action=Action.SUBSCRIBE,
            at=agreed_at,
            form=f"API ({call.caller.actor})",
            wording=body.consent.wording,
            wording_version=version_of(body.consent.wording) if body.consent.wording else "",
            source=body.consent.source,
            confirmed_at=agreed_at,
        ),
        now=now,
    )


async def _whole(connection: Connection, contact_id: str) -> dict[str, Any]:
    found = await person(connection, contact_id)
    if found is None:
        raise not_found("contact", contact_id)
    return found


def contact_answer(row: Row) -> ContactAnswer:
    """A row of contacts for the API."""
    return {
        "id": row["id"],
        "email": row["email"],
        "name": row["name"],
        "language": row["language"],
        "attributes": row["attributes"],
        "tags": row["tags"],
        "created_at": stamp(row["created_at"]),
        "contacted_at": stamp_or_none(row["contacted_at"]),
        "heard_at": stamp_or_none(row["heard_at"]),
    }
