"""`/connect`: accounts connected by a login at their platform.

The session's cookie does not come along when a platform sends the browser back (it is strict), so
the login has a cookie of its own, of a few minutes, that opens nothing else.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import jinja2
from aiohttp import web

from channels.sentences import place_named
from scheduler import logins
from scheduler.refusals import Refusal, RefusedError
from scheduler.services import Services
from scheduler.store.tokens import Scope
from scheduler.web import session
from scheduler.web.connect_phrases import PHRASES
from scheduler.web.docs import PAGE_HEADERS, environment
from scheduler.web.keys import SERVICES
from scheduler.web.phrases import language_of

COOKIE = "estafette_login"
# The address holds a code of the platform's: it goes nowhere and into no cache.
_HEADERS = {
    **PAGE_HEADERS,
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Vary": "Accept-Language",
}

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def setup_connect(app: web.Application) -> None:
    """Serve the pages of a login."""
    pages = Connecting(environment())
    app.router.add_get("/connect", pages.told(pages.choice))
    app.router.add_get("/connect/{adapter}", pages.told(pages.leave))
    app.router.add_get("/connect/{adapter}/back", pages.told(pages.back))
    app.router.add_post("/connect/{adapter}/accounts", pages.told(pages.connect))


class Connecting:
    """The handlers, and the template they fill."""

    def __init__(self, templates: jinja2.Environment) -> None:
        self._templates = templates

    def told(self, handler: Handler) -> Handler:
        """Refusals as a page, as it is a person who reads them."""

        async def handle(request: web.Request) -> web.StreamResponse:
            try:
                return await handler(request)
            except RefusedError as refused:
                return self._page(request, status=refused.refusal.status, problem=refused)

        return handle

    async def choice(self, request: web.Request) -> web.StreamResponse:
        """Where one can log in."""
        if await session.current(request, request.app[SERVICES]) is None:
            return _to("/login")
        return self._page(request, adapters=logins.connectable(request.app[SERVICES]))

    async def leave(self, request: web.Request) -> web.StreamResponse:
        """Off to the platform: for somebody signed in, or with the ticket that the API made."""
        services, adapter = request.app[SERVICES], request.match_info["adapter"]
        secret = request.query.get("ticket")
        if secret is None:
            reader = await session.current(request, services)
            if reader is None:
                return _to("/login")
            if not reader.caller.may(Scope.ADMIN):
                raise RefusedError(Refusal.FORBIDDEN, f"your token has no {Scope.ADMIN} scope")
            secret = (await logins.begin(services, adapter, reader.caller.actor)).secret
        response = _to(await logins.leave(services, adapter, secret))
        response.set_cookie(
            COOKIE,
            secret,
            max_age=logins.LASTS // 1_000_000,
            path="/connect",
            httponly=True,
            samesite="Lax",
            secure=services.settings.effective_public_url.startswith("https:"),
        )
        return response

    async def back(self, request: web.Request) -> web.StreamResponse:
        """The platform sent the browser back: which pages?"""
        found = await logins.come_back(
            request.app[SERVICES], request.match_info["adapter"], _secret(request), request.query
        )
        return self._page(request, candidates=found)

    async def connect(self, request: web.Request) -> web.StreamResponse:
        """The pages that were ticked, each looked at and saved."""
        form = await request.post()
        chosen = [value for value in form.getall("page", []) if isinstance(value, str)]
        done = await logins.choose(
            request.app[SERVICES], request.match_info["adapter"], _secret(request), chosen
        )
        failed = all(one.account_id is None for one in done)
        response = self._page(request, status=422 if failed else 200, connected=done)
        response.del_cookie(COOKIE, path="/connect")
        return response

    def _page(self, request: web.Request, *, status: int = 200, **shown: Any) -> web.Response:
        services: Services = request.app[SERVICES]
        asked = request.headers.get("Accept-Language", "")
        language = language_of(asked, services.settings.language)
        text = self._templates.get_template("connect.html").render(
            language=language,
            say=PHRASES[language],
            place=lambda adapter: place_named(adapter.partition(".")[0], language),
            adapter=request.match_info.get("adapter", ""),
            **shown,
        )
        return web.Response(text=text, content_type="text/html", status=status, headers=_HEADERS)


def _secret(request: web.Request) -> str:
    """The login that this browser began; the strict cookie of the session is not there yet."""
    return request.cookies.get(COOKIE, "")


def _to(url: str) -> web.Response:
    """Go there with a GET."""
    return web.Response(status=303, headers={"Location": url})
