"""The pages for people: signing in; what is planned, published, undecided and connected; a post, a
rehearsal, the basket."""

from __future__ import annotations

import re
from datetime import date, datetime
from typing import Any

import jinja2
from aiohttp import web
from babel.dates import format_date, format_datetime, format_time
from babel.numbers import format_decimal

from scheduler.clock import moment
from scheduler.refusals import Refusal, RefusedError
from scheduler.store.tokens import Scope
from scheduler.times import zone_named
from scheduler.web import glance, session
from scheduler.web.auth import DOORKEEPER
from scheduler.web.decisions import DECISIONS, Asked
from scheduler.web.desk_phrases import DESK
from scheduler.web.docs import PAGE_HEADERS, environment
from scheduler.web.edit_pages import setup_edits
from scheduler.web.keys import SERVICES
from scheduler.web.phrases import PHRASES, language_of
from scheduler.web.reading import Handler, form_of, to
from scheduler.web.road_pages import setup_roads
from scheduler.web.road_phrases import ROADS
from scheduler.web.withdraw_pages import setup_withdrawals
from scheduler.web.withdraw_phrases import WITHDRAWALS

# Where a form may send its reader back to: our own pages.
_OWN_PAGE = re.compile(r"/(?:posts/[0-9a-f-]{36})?")


@web.middleware
async def lost(request: web.Request, handler: Handler) -> web.StreamResponse:
    """A page for people whose address leads nowhere; programs get a problem document."""
    try:
        return await handler(request)
    except web.HTTPNotFound:
        wants_page = "text/html" in request.headers.get("Accept", "")
        if not wants_page or request.path.startswith(("/api/", "/hooks/")):
            raise
        nothing = RefusedError(Refusal.NOT_FOUND, f"there is no page {request.path!r}")
        return request.app[PAGES].page(request, "refused.html", status=404, problem=nothing)


def setup_pages(app: web.Application) -> None:
    """Serve the pages, and the forms' target `/decide`."""
    pages = Pages(environment())
    app[PAGES] = pages
    app.router.add_get("/", pages.told(pages.overview))
    app.router.add_get("/posts/{id}", pages.told(pages.post))
    app.router.add_get("/drills/{id}", pages.told(pages.drill))
    app.router.add_get("/basket", pages.told(pages.basket))
    app.router.add_get("/login", pages.login)
    app.router.add_post("/login", pages.sign_in)
    app.router.add_post("/logout", pages.told(pages.sign_out))
    app.router.add_post("/decide", pages.told(pages.decide))
    setup_roads(app, pages)
    setup_withdrawals(app, pages)
    setup_edits(app, pages)


class Pages:
    """The handlers, and the templates they fill."""

    def __init__(self, templates: jinja2.Environment) -> None:
        self._templates = templates

    def told(self, handler: Handler) -> Handler:
        """Refusals as a page, as it is a person who reads them."""

        async def handle(request: web.Request) -> web.StreamResponse:
            try:
                return await handler(request)
            except RefusedError as refused:
                return self.page(
                    request, "refused.html", status=refused.refusal.status, problem=refused
                )

        return handle

    async def overview(self, request: web.Request) -> web.StreamResponse:
        """Everything at a glance."""
        services = request.app[SERVICES]
        reader = await session.current(request, services)
        if reader is None:
            return to("/login")
        shown = await glance.overview(services, _language(request))
        return self.page(request, "overview.html", word=reader.word, here="/", **shown)

    async def post(self, request: web.Request) -> web.StreamResponse:
        """One post: its words, where it goes, what happened to it."""
        services = request.app[SERVICES]
        reader = await session.current(request, services)
        if reader is None:
            return to("/login")
        shown = await glance.post(services, request.match_info["id"])
        return self.page(request, "post.html", word=reader.word, here=request.path, **shown)

    async def drill(self, request: web.Request) -> web.StreamResponse:
        """A rehearsal's report."""
        services = request.app[SERVICES]
        reader = await session.current(request, services)
        if reader is None:
            return to("/login")
        shown = await glance.drill(services, request.match_info["id"])
        return self.page(request, "drill.html", word=reader.word, **shown)

    async def basket(self, request: web.Request) -> web.StreamResponse:
        """How much hangs on each account."""
        services = request.app[SERVICES]
        reader = await session.current(request, services)
        if reader is None:
            return to("/login")
        return self.page(request, "basket.html", word=reader.word, **await glance.basket(services))

    async def login(self, request: web.Request) -> web.StreamResponse:
        """The form that asks for the token."""
        return self.page(request, "login.html", wrong=False)

    async def sign_in(self, request: web.Request) -> web.StreamResponse:
        """A token for a cookie."""
        form = await request.post()
        caller = await request.app[DOORKEEPER].caller(str(form.get("token", "")).strip())
        if caller is None or not caller.may(Scope.READ):
            return self.page(request, "login.html", wrong=True, status=401)
        response = to("/")
        session.begin(response, request.app[SERVICES], caller)
        return response

    async def sign_out(self, request: web.Request) -> web.StreamResponse:
        """Forget the cookie."""
        await form_of(request, Scope.READ)
        response = to("/login")
        session.end(response)
        return response

    async def decide(self, request: web.Request) -> web.StreamResponse:
        """Carry out what a button says."""
        reader, form = await form_of(request, Scope.WRITE)
        decision = DECISIONS.get(str(form.get("what", "")))
        if decision is None:
            raise RefusedError(Refusal.BAD_REQUEST, "no such decision")
        asked = Asked(
            services=request.app[SERVICES],
            id=str(form.get("id", "")),
            actor=reader.caller.actor,
            account=str(form.get("account", "")),
        )
        there = await decision(asked)
        back = str(form.get("back", ""))
        return to(there or (back if _OWN_PAGE.fullmatch(back) else "/"))

    def page(
        self, request: web.Request, name: str, *, status: int = 200, **shown: Any
    ) -> web.Response:
        """A template, filled in the reader's language and the service's zone."""
        settings = request.app[SERVICES].settings
        language = _language(request)
        zone = zone_named(settings.zone)

        def local(value: int | str) -> datetime:
            """Microseconds, or RFC 3339 as reports have it."""
            read = datetime.fromisoformat(value) if isinstance(value, str) else moment(value)
            return read.astimezone(zone)

        text = self._templates.get_template(name).render(
            language=language,
            zone=settings.zone,
            say={
                **PHRASES[language],
                **DESK[language],
                **ROADS[language],
                **WITHDRAWALS[language],
            },
            at=lambda value: format_datetime(local(value), "EEE d MMM y, HH:mm", locale=language),
            day=lambda value: format_date(local(value), "EEEE d MMMM", locale=language),
            clock=lambda value: format_time(local(value), "HH:mm", locale=language),
            number=lambda value: format_decimal(value, "#,##0.##", locale=language),
            date=lambda value: format_date(date.fromisoformat(value), locale=language),
            iso=lambda value: local(value).isoformat(timespec="minutes"),
            **shown,
        )
        headers = {**PAGE_HEADERS, "Cache-Control": "no-store", "Vary": "Accept-Language"}
        return web.Response(text=text, content_type="text/html", status=status, headers=headers)


def _language(request: web.Request) -> str:
    settings = request.app[SERVICES].settings
    return language_of(request.headers.get("Accept-Language", ""), settings.language)


PAGES: web.AppKey[Pages] = web.AppKey("pages", Pages)
