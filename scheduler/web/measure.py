"""How long requests take, by route: never by address, which is unbounded; and their traces."""

from __future__ import annotations

import time

from aiohttp import web
from aiohttp.typedefs import Handler

from scheduler import tracing
from scheduler.metrics import HTTP_REQUESTS
from scheduler.web.keys import CALLER


@web.middleware
async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Times every request but the endless ones."""
    start = time.perf_counter()
    response = await handler(request)
    if response.content_type != "text/event-stream":
        HTTP_REQUESTS.labels(request.method, _route(request), response.status).observe(
            time.perf_counter() - start
        )
    return response


@web.middleware
async def traced(request: web.Request, handler: Handler) -> web.StreamResponse:
    """A span for every request that somebody with a token makes, below the caller's own."""
    if CALLER not in request:
        return await handler(request)
    route = _route(request)
    attributes = {"http.request.method": request.method, "http.route": route}
    parent = request.headers.get("traceparent")
    with tracing.span(f"{request.method} {route}", parent, attributes, serves=True):
        response = await handler(request)
        tracing.note({"http.response.status_code": response.status})
        return response


def _route(request: web.Request) -> str:
    resource = request.match_info.route.resource
    return "unknown" if resource is None else resource.canonical
