"""How long requests take, by route: never by address, which is unbounded."""

from __future__ import annotations

import time

from aiohttp import web
from aiohttp.typedefs import Handler

from scheduler.metrics import HTTP_REQUESTS


@web.middleware
async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Times every request but the endless ones."""
    start = time.perf_counter()
    response = await handler(request)
    if response.content_type != "text/event-stream":
        resource = request.match_info.route.resource
        route = "unknown" if resource is None else resource.canonical
        HTTP_REQUESTS.labels(request.method, route, response.status).observe(
            time.perf_counter() - start
        )
    return response
