"""What the pages do with a request: a form that is ours, the way to another page."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web
from multidict import MultiDictProxy

from scheduler.refusals import Refusal, RefusedError
from scheduler.store.tokens import Scope
from scheduler.web import session
from scheduler.web.keys import SERVICES

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def to(path: str) -> web.Response:
    """Go there with a GET."""
    return web.Response(status=303, headers={"Location": path})


async def form_of(
    request: web.Request, scope: Scope
) -> tuple[session.Session, MultiDictProxy[Any]]:
    """A form of ours from somebody signed in. Error: RefusedError."""
    reader = await session.current(request, request.app[SERVICES])
    form = await request.post()
    if reader is None or not reader.sent(form.get("word")):
        raise RefusedError(Refusal.FORBIDDEN, "this form does not come from a page you opened")
    if not reader.caller.may(scope):
        raise RefusedError(Refusal.FORBIDDEN, f"your token has no {scope} scope")
    return reader, form
