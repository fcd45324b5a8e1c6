"""The practice LinkedIn's login: the dialog that a person sees, and the codes behind it."""

from __future__ import annotations

import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from html import escape

from aiohttp import web
from yarl import URL

# What the product “Community Management API” lets an app ask for.
SCOPES = ("r_organization_social", "rw_organization_admin", "w_organization_social")
CODE_SECONDS = 1800.0

_DIALOG = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Log in to the practice LinkedIn</title>
<style>:root{{color-scheme:light dark}}body{{font:1rem/1.5 system-ui;max-width:30rem;margin:2rem
auto}}</style></head><body>
<p>Practice platform: nothing here is on the internet.</p>
<h1>Estafette would like to</h1><ul>{scopes}</ul>
<form method="post"><button name="answer" value="yes">Allow</button>
<button name="answer" value="no">Cancel</button></form></body></html>
"""

Refresh = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Client:
    """The one app that exists here, and what its one person's login gives."""

    id: str
    secret: str = field(repr=False)
    token: str = field(repr=False)
    refresh_token: str = field(repr=False)


class Login:
    """The two endpoints; `refresh` answers the other grant."""

    def __init__(self, client: Client, refresh: Refresh) -> None:
        self._client = client
        self._refresh = refresh
        # code -> (redirect_uri, until)
        self._codes: dict[str, tuple[str, float]] = {}

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/oauth/v2/authorization", self._show),
            web.post("/oauth/v2/authorization", self._answer),
            web.post("/oauth/v2/accessToken", self._token),
        ]

    async def _show(self, request: web.Request) -> web.Response:
        scopes = "".join(f"<li>{escape(scope)}</li>" for scope in self._asked(request))
        return web.Response(text=_DIALOG.format(scopes=scopes), content_type="text/html")

    async def _answer(self, request: web.Request) -> web.Response:
        self._asked(request)
        redirect_uri, state = request.query["redirect_uri"], request.query.get("state", "")
        if (await request.post()).get("answer") != "yes":
            said = "The user cancelled the authorization"
            refused = {"error": "user_cancelled_authorize", "error_description": said}
            raise web.HTTPFound(URL(redirect_uri).update_query({**refused, "state": state}))
        code = secrets.token_urlsafe(60)
        self._codes[code] = (redirect_uri, time.time() + CODE_SECONDS)
        raise web.HTTPFound(URL(redirect_uri).update_query({"code": code, "state": state}))

    def _asked(self, request: web.Request) -> list[str]:
        """The permissions asked for; a dialog that is called wrongly shows an error page."""
        query = request.query
        scopes = query.get("scope", "").split()
        if query.get("response_type") != "code" or query.get("client_id") != self._client.id:
            raise web.HTTPBadRequest(text="Bummer, something went wrong: unknown client")
        if not query.get("redirect_uri", "").startswith(("http://", "https://")):
            raise web.HTTPBadRequest(text="The redirect_uri does not match the registered value")
        if not scopes or set(scopes) - set(SCOPES):
            raise web.HTTPBadRequest(text="unauthorized_scope_error")
        return scopes

    async def _token(self, request: web.Request) -> web.StreamResponse:
        form = await request.post()
        if form.get("grant_type") != "authorization_code":
            return await self._refresh(request)
        if (form.get("client_id"), form.get("client_secret")) != (
            self._client.id,
            self._client.secret,
        ):
            return _refused(401, "invalid_client", "Client authentication failed")
        redirect_uri, until = self._codes.pop(str(form.get("code")), ("", 0.0))
        if until < time.time() or redirect_uri != form.get("redirect_uri"):
            said = "Unable to retrieve access token: appid/redirect uri/code verifier does not"
            return _refused(400, "invalid_request", f"{said} match authorization code")
        return web.json_response(
            {
                "access_token": self._client.token,
                "expires_in": 5_184_000,
                "refresh_token": self._client.refresh_token,
                "refresh_token_expires_in": 31_536_000,
                "scope": ",".join(SCOPES),
            }
        )


def _refused(status: int, error: str, description: str) -> web.Response:
    body = {"error": error, "error_description": description}
    return web.json_response(body, status=status)
