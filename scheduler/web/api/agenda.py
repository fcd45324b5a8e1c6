"""The calendar of what is planned: an address to subscribe to, and what stands there.

Calendar programs send no header, so the address itself holds a token that opens this calendar and
nothing else.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Annotated

from aiohttp import web
from pydantic import Field
from typing_extensions import TypedDict

from scheduler.campaigns import Row
from scheduler.clock import micros
from scheduler.drafts import Name, Strict
from scheduler.refusals import FieldError, Refusal, RefusedError
from scheduler.store import agenda, campaigns, posts, tokens
from scheduler.store.tokens import Scope
from scheduler.web.api.shapes import Query
from scheduler.web.auth import DOORKEEPER
from scheduler.web.endpoint import Call, Endpoints
from scheduler.web.keys import CALLER

endpoints = Endpoints("calendar")

BACK = timedelta(days=30)
AHEAD = timedelta(days=366)
MOST = 2000


class Subscription(Strict):
    """A new subscriber."""

    name: Annotated[Name, Field(description="Who reads it; shown among the tokens.")] = "calendar"


class SubscriptionAnswer(TypedDict):
    """The address to subscribe to, shown this once. `token_id`: revoke it to end it."""

    url: str
    token_id: str


class CalendarQuery(Query):
    """Who asks, when no header can be sent."""

    token: Annotated[str | None, Field(max_length=200)] = None


@endpoints.post("/calendar", scope=Scope.ADMIN, status=201)
async def subscribe(call: Call, body: Subscription) -> SubscriptionAnswer:
    """Make an address for a calendar program. It reads what is planned, and nothing else."""
    services = call.services
    async with services.database.write() as connection:
        made = await tokens.create(
            connection, name=body.name, scopes=[Scope.CALENDAR], now=services.clock.micros()
        )
    url = f"{services.settings.effective_public_url}/api/v1/calendar.ics?token={made.secret}"
    return {"url": url, "token_id": made.id}


@endpoints.get("/calendar.ics", media_type="text/calendar", refusals=(Refusal.UNAUTHENTICATED,))
async def read(call: Call, query: CalendarQuery) -> web.Response:
    """What went out in the last month and is planned for the year to come, as iCalendar."""
    await _admit(call, query.token)
    from scheduler.agenda import Planned, to_calendar  # with icalendar: large, and rarely asked

    services = call.services
    now = services.clock.now()
    since, until = now - BACK, now + AHEAD
    async with services.database.read() as connection:
        rows = await agenda.planned(
            connection, since=micros(since), until=micros(until), limit=MOST
        )
        legs = await posts.deliveries_of(connection, [row["id"] for row in rows])
        told = await campaigns.told_by(connection, rows)
        anchors = await agenda.anchored(
            connection,
            since=since.isoformat()[:16],
            until=until.isoformat()[:16],
            limit=MOST,
        )
    by_post: dict[str, list[Row]] = {row["id"]: [] for row in rows}
    for leg in legs:
        by_post[leg["post_id"]].append(leg)
    body = await asyncio.to_thread(  # thousands of entries take a second, and others wait
        to_calendar,
        [
            Planned(row=row, legs=by_post[row["id"]], campaign=told.get(row["campaign_id"]))
            for row in rows
        ],
        anchors,
        host=services.settings.own_hosts[0],
        language=services.settings.language,
    )
    return web.Response(
        body=body,
        content_type="text/calendar",
        charset="utf-8",
        headers={
            "Cache-Control": "private, max-age=300",
            "Content-Disposition": 'inline; filename="estafette.ics"',
            "Referrer-Policy": "no-referrer",
        },
    )


async def _admit(call: Call, secret: str | None) -> None:
    """A calendar's own token in the address, or any token that may read in the header."""
    caller = call.request.get(CALLER)
    if caller is not None and (caller.may(Scope.READ) or caller.may(Scope.CALENDAR)):
        return
    if secret is not None:
        caller = await call.request.app[DOORKEEPER].caller(secret)
        if caller is not None and caller.scopes == {Scope.CALENDAR}:
            return
        detail = "this is no calendar's token, or it was revoked"
        if caller is not None:
            detail = "a token that may do more does not belong in an address"
    else:
        detail = "this needs the token of a calendar"
    remedy = "subscribe to the address that POST /api/v1/calendar gives"
    raise RefusedError(Refusal.UNAUTHENTICATED, detail, [FieldError("token", detail, remedy)])
