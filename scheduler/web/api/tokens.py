"""API tokens: make, list, revoke."""

from __future__ import annotations

from typing import Annotated

from pydantic import AwareDatetime, Field
from typing_extensions import TypedDict

from scheduler.answers import stamp, stamp_or_none
from scheduler.clock import micros
from scheduler.drafts import Name, Strict
from scheduler.refusals import Refusal, invalid, not_found
from scheduler.store import tokens
from scheduler.store.tokens import Scope
from scheduler.web.api.shapes import ById
from scheduler.web.auth import DOORKEEPER
from scheduler.web.endpoint import Call, Endpoints

endpoints = Endpoints("tokens")


class TokenDraft(Strict):
    """A token to be."""

    name: Annotated[Name, Field(description="Who or what will use it; journals show it.")]
    scopes: Annotated[list[Scope], Field(min_length=1, default_factory=lambda: [Scope.WRITE])]
    expires_at: Annotated[AwareDatetime | None, Field(description="Null: never.")] = None


class TokenAnswer(TypedDict):
    """A token, without its secret."""

    id: str
    name: str
    scopes: list[str]
    created_at: str
    expires_at: str | None
    used_at: str | None
    revoked_at: str | None


class TokenList(TypedDict):
    """All tokens, oldest first."""

    tokens: list[TokenAnswer]


class NewTokenAnswer(TypedDict):
    """A token just made: `secret` is shown this once."""

    id: str
    secret: str


@endpoints.get("/tokens", scope=Scope.ADMIN)
async def index(call: Call) -> TokenList:
    """All tokens."""
    async with call.services.database.read() as connection:
        rows = await tokens.listed(connection)
    return {
        "tokens": [
            {
                "id": row["id"],
                "name": row["name"],
                "scopes": row["scopes"],
                "created_at": stamp(row["created_at"]),
                "expires_at": stamp_or_none(row["expires_at"]),
                "used_at": stamp_or_none(row["used_at"]),
                "revoked_at": stamp_or_none(row["revoked_at"]),
            }
            for row in rows
        ]
    }


@endpoints.post("/tokens", scope=Scope.ADMIN, status=201)
async def create(call: Call, body: TokenDraft) -> NewTokenAnswer:
    """Make a token."""
    now = call.services.clock.micros()
    expires_at = None if body.expires_at is None else micros(body.expires_at)
    if expires_at is not None and expires_at <= now:
        raise invalid("expires_at", "the token would be expired already", "give a later time")
    async with call.services.database.write() as connection:
        made = await tokens.create(
            connection, name=body.name, scopes=body.scopes, now=now, expires_at=expires_at
        )
    return {"id": made.id, "secret": made.secret}


@endpoints.delete("/tokens/{id}", scope=Scope.ADMIN, refusals=(Refusal.NOT_FOUND,))
async def revoke(call: Call, path: ById) -> None:
    """End a token; other processes notice within seconds."""
    async with call.services.database.write() as connection:
        if not await tokens.revoke(connection, path.id, call.services.clock.micros()):
            raise not_found("live token", path.id)
    call.request.app[DOORKEEPER].forget()
