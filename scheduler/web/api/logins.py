"""Logins: connecting an account in the browser, begun by a program."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlencode

from pydantic import Field
from typing_extensions import TypedDict

from scheduler import logins
from scheduler.answers import stamp
from scheduler.drafts import Name, Strict
from scheduler.refusals import Refusal
from scheduler.store.tokens import Scope
from scheduler.web.endpoint import Call, Endpoints

endpoints = Endpoints("accounts")


class Beginning(Strict):
    """Which kind of account."""

    adapter: Annotated[Name, Field(description="As GET /api/v1/channels names it.")]


class LoginAnswer(TypedDict):
    """`url`: to open in a browser, once; whoever opens it may connect accounts. `redirect_uri`:
    what has to be allowed in the platform's settings of our application."""

    url: str
    redirect_uri: str
    expires_at: str


@endpoints.post(
    "/logins", scope=Scope.ADMIN, status=201, refusals=(Refusal.NOT_FOUND, Refusal.CONFLICT)
)
async def begin(call: Call, body: Beginning) -> LoginAnswer:
    """A link that leads a person through the platform's login to the accounts it opens."""
    services = call.services
    ticket = await logins.begin(services, body.adapter, call.caller.actor)
    base = services.settings.effective_public_url
    return {
        "url": f"{base}/connect/{body.adapter}?{urlencode({'ticket': ticket.secret})}",
        "redirect_uri": logins.redirect_uri(services, body.adapter),
        "expires_at": stamp(ticket.expires_at),
    }
