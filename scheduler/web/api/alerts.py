"""Alerts, and the webhooks that tell them."""

from __future__ import annotations

import base64
import secrets
from typing import Annotated, Any

from pydantic import Field
from typing_extensions import TypedDict

from scheduler.alert_words import ENGLISH
from scheduler.answers import stamp, stamp_or_none
from scheduler.drafts import Name, Strict, WebAddress
from scheduler.refusals import FieldError, Refusal, RefusedError, not_found
from scheduler.store import notices
from scheduler.store.tokens import Scope
from scheduler.web.api.shapes import ById, Query
from scheduler.web.endpoint import Call, Endpoints

endpoints = Endpoints("alerts")


class AlertsQuery(Query):
    """Which alerts."""

    all: Annotated[bool, Field(description="Also those that are over.")] = False
    limit: Annotated[int, Field(ge=1, le=500)] = 100


class AlertAnswer(TypedDict):
    """One fact that somebody should know. `data`: cause, action, and the ids it is about."""

    id: str
    kind: str
    severity: str
    count: int
    data: dict[str, Any]
    created_at: str
    notified_at: str | None
    resolved_at: str | None


class AlertList(TypedDict):
    """Alerts, newest first."""

    alerts: list[AlertAnswer]


class HookDraft(Strict):
    """Where alerts are posted to, signed as the Standard Webhooks say."""

    url: WebAddress
    kinds: Annotated[
        list[Name],
        Field(default_factory=list, max_length=50, description="Of alerts; all of them if empty."),
    ]


class HookAnswer(TypedDict):
    """A webhook."""

    id: str
    url: str
    kinds: list[str]
    created_at: str


class NewHookAnswer(HookAnswer):
    """A webhook just added; its secret is shown this once."""

    secret: str


class HookList(TypedDict):
    """Webhooks, oldest first."""

    hooks: list[HookAnswer]


@endpoints.get("/alerts", scope=Scope.READ)
async def index(call: Call, query: AlertsQuery) -> AlertList:
    """What somebody should know."""
    async with call.services.database.read() as connection:
        rows = await notices.listed(connection, resolved=query.all, limit=query.limit)
    return {
        "alerts": [
            {
                "id": row["id"],
                "kind": row["kind"],
                "severity": row["severity"],
                "count": row["count"],
                "data": row["data"],
                "created_at": stamp(row["created_at"]),
                "notified_at": stamp_or_none(row["notified_at"]),
                "resolved_at": stamp_or_none(row["resolved_at"]),
            }
            for row in rows
        ]
    }


@endpoints.get("/hooks", scope=Scope.ADMIN)
async def hooks(call: Call) -> HookList:
    """The webhooks that alerts are told to."""
    async with call.services.database.read() as connection:
        rows = await notices.all_hooks(connection)
    return {
        "hooks": [
            {
                "id": row["id"],
                "url": row["url"],
                "kinds": row["kinds"],
                "created_at": stamp(row["created_at"]),
            }
            for row in rows
        ]
    }


@endpoints.post("/hooks", scope=Scope.ADMIN, status=201)
async def add(call: Call, body: HookDraft) -> NewHookAnswer:
    """Tell alerts to this address; keep the secret to verify what it gets."""
    unknown = [kind for kind in body.kinds if kind not in ENGLISH]
    if unknown:
        errors = [
            FieldError(
                f"kinds[{body.kinds.index(kind)}]",
                f"there is no alert {kind!r}",
                f"one of: {', '.join(sorted(ENGLISH))}",
            )
            for kind in unknown
        ]
        raise RefusedError(Refusal.INVALID, "this hook would never be called", errors)
    secret = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
    services = call.services
    now = services.clock.micros()
    async with services.database.write() as connection:
        hook_id = await notices.add_hook(
            connection,
            url=body.url,
            secret=services.vault.seal({"secret": secret}),
            kinds=body.kinds,
            now=now,
        )
    return {
        "id": hook_id,
        "url": body.url,
        "kinds": body.kinds,
        "created_at": stamp(now),
        "secret": secret,
    }


@endpoints.delete("/hooks/{id}", scope=Scope.ADMIN, refusals=(Refusal.NOT_FOUND,))
async def remove(call: Call, path: ById) -> None:
    """Call it no more."""
    async with call.services.database.write() as connection:
        if not await notices.disable_hook(connection, path.id, call.services.clock.micros()):
            raise not_found("hook", path.id)
