"""The pages for people: signing in, and what is planned, published, stuck and connected."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import jinja2
from aiohttp import web
from babel.dates import format_datetime

from channels.abilities import Inspects, Proofs
from scheduler.clock import moment
from scheduler.deliveries import State
from scheduler.desk import in_doubt
from scheduler.refusals import Refusal, RefusedError
from scheduler.services import Services
from scheduler.store import accounts, posts
from scheduler.store.claims import to_delivery
from scheduler.store.posts import PostFilter
from scheduler.store.tokens import Scope
from scheduler.times import zone_named
from scheduler.web import session
from scheduler.web.api.accounts import account_answer, set_paused, set_resumed
from scheduler.web.auth import DOORKEEPER
from scheduler.web.docs import PAGE_HEADERS, environment
from scheduler.web.keys import SERVICES
from scheduler.web.phrases import PHRASES, language_of
from scheduler.web.readiness import look

_STUCK = (State.HELD, State.FAILED, State.UNCONFIRMED)
_SHOWN = 30

Decide = Callable[[Services, str, str], Awaitable[None]]


def setup_pages(app: web.Application) -> None:
    """Serve `/`, `/login`, `/logout` and the forms' target `/decide`."""
    pages = Pages(environment())
    app.router.add_get("/", pages.overview)
    app.router.add_get("/login", pages.login)
    app.router.add_post("/login", pages.sign_in)
    app.router.add_post("/logout", pages.sign_out)
    app.router.add_post("/decide", pages.decide)


class Pages:
    """The handlers, and the templates they fill."""

    def __init__(self, templates: jinja2.Environment) -> None:
        self._templates = templates

    async def overview(self, request: web.Request) -> web.StreamResponse:
        """Everything at a glance."""
        services = request.app[SERVICES]
        reader = await session.current(request, services)
        if reader is None:
            return _to("/login")
        return self._page(request, "overview.html", word=reader.word, **await _overview(services))

    async def login(self, request: web.Request) -> web.StreamResponse:
        """The form that asks for the token."""
        return self._page(request, "login.html", wrong=False)

    async def sign_in(self, request: web.Request) -> web.StreamResponse:
        """A token for a cookie."""
        form = await request.post()
        caller = await request.app[DOORKEEPER].caller(str(form.get("token", "")).strip())
        if caller is None:
            return self._page(request, "login.html", wrong=True, status=401)
        response = _to("/")
        session.begin(response, request.app[SERVICES], caller)
        return response

    async def sign_out(self, request: web.Request) -> web.StreamResponse:
        """Forget the cookie."""
        await _form_of(request, Scope.READ)
        response = _to("/login")
        session.end(response)
        return response

    async def decide(self, request: web.Request) -> web.StreamResponse:
        """Carry out what a button of the overview says."""
        reader, form = await _form_of(request, Scope.WRITE)
        decision = _DECISIONS.get(str(form.get("what", "")))
        if decision is None:
            raise RefusedError(Refusal.BAD_REQUEST, "no such decision")
        await decision(request.app[SERVICES], str(form.get("id", "")), reader.caller.actor)
        return _to("/")

    def _page(
        self, request: web.Request, name: str, *, status: int = 200, **shown: Any
    ) -> web.Response:
        settings = request.app[SERVICES].settings
        language = language_of(request.headers.get("Accept-Language", ""), settings.language)
        zone = zone_named(settings.zone)
        text = self._templates.get_template(name).render(
            language=language,
            say=PHRASES[language],
            at=lambda value: format_datetime(
                moment(value).astimezone(zone), "EEE d MMM y, HH:mm", locale=language
            ),
            **shown,
        )
        headers = {**PAGE_HEADERS, "Cache-Control": "no-store", "Vary": "Accept-Language"}
        return web.Response(text=text, content_type="text/html", status=status, headers=headers)


def _to(path: str) -> web.Response:
    """Go there with a GET."""
    return web.Response(status=303, headers={"Location": path})


async def _form_of(request: web.Request, scope: Scope) -> tuple[session.Session, Mapping[str, Any]]:
    """A form of ours from somebody signed in. Error: RefusedError."""
    reader = await session.current(request, request.app[SERVICES])
    form = await request.post()
    if reader is None or not reader.sent(form.get("word")):
        raise RefusedError(Refusal.FORBIDDEN, "this form does not come from a page you opened")
    if not reader.caller.may(scope):
        raise RefusedError(Refusal.FORBIDDEN, f"your token has no {scope} scope")
    return reader, form


async def _overview(services: Services) -> dict[str, Any]:
    now = services.clock.micros()
    async with services.database.read() as connection:
        stuck = [
            row
            for state in _STUCK
            for row in await posts.delivery_page(
                connection, state=state, account=None, after=None, limit=_SHOWN
            )
        ]
        titles = await posts.titles(connection, [row["post_id"] for row in stuck])
        planned = await posts.page(
            connection, PostFilter(due_from=now), after=None, limit=_SHOWN, newest_first=False
        )
        past = await posts.page(
            connection, PostFilter(due_before=now), after=None, limit=_SHOWN, newest_first=True
        )
        legs = await posts.deliveries_of(connection, [row["id"] for row in (*planned, *past)])
        connected = await accounts.listed(connection)
    readiness = await look(services)
    return {
        "checks": [check for check in readiness["checks"] if not check["ok"]],
        "stuck": [
            {**row, "title": titles[row["post_id"]], "doubtful": in_doubt(to_delivery(row))}
            for row in stuck
        ],
        "planned": _with_legs([row for row in planned if row["cancelled_at"] is None], legs),
        "past": _with_legs(past, legs),
        "accounts": [account_answer(row, now) for row in connected],
        "mailing": {row["id"] for row in connected if _mails(services, row["adapter"])},
        "inspected": {
            row["id"]
            for row in connected
            if isinstance(services.registry[row["adapter"]], Inspects)
        },
    }


def _mails(services: Services, adapter: str) -> bool:
    return isinstance(services.registry.get(adapter), Proofs)


def _with_legs(rows: Any, legs: Any) -> list[dict[str, Any]]:
    return [{**row, "legs": [leg for leg in legs if leg["post_id"] == row["id"]]} for row in rows]


async def _retry(services: Services, delivery_id: str, actor: str) -> None:
    await services.desk.retry(delivery_id, actor)


async def _cancel(services: Services, delivery_id: str, actor: str) -> None:
    await services.desk.cancel(delivery_id, actor)


async def _seen(services: Services, delivery_id: str, actor: str) -> None:
    await services.desk.settle(delivery_id, published=True, url=None, actor=actor)


async def _repost(services: Services, delivery_id: str, actor: str) -> None:
    await services.desk.settle(delivery_id, published=False, url=None, actor=actor)


async def _pause(services: Services, account_id: str, actor: str) -> None:
    await set_paused(services, account_id, None, actor)


_DECISIONS: Mapping[str, Decide] = {
    "retry": _retry,
    "cancel": _cancel,
    "seen": _seen,
    "repost": _repost,
    "pause": _pause,
    "resume": set_resumed,
}
