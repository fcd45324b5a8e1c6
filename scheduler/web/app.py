"""The web application: middlewares, routes, and nothing that decides."""

from __future__ import annotations

from aiohttp import web

from scheduler.services import Services
from scheduler.web import auth, problems
from scheduler.web.api import posts
from scheduler.web.endpoint import MAX_JSON, Endpoint, add_routes
from scheduler.web.keys import SERVICES

API = "/api/v1"


def api_endpoints() -> list[Endpoint]:
    """Every endpoint of the API, in the order of its document."""
    return [endpoint for module in (posts,) for endpoint in module.endpoints.all]


def create_app(services: Services) -> web.Application:
    """The whole HTTP side of one process; `services` stay open while it runs."""
    app = web.Application(
        client_max_size=MAX_JSON, middlewares=[problems.middleware, auth.middleware]
    )
    app[SERVICES] = services
    app[auth.DOORKEEPER] = auth.Doorkeeper(services.database, services.clock)
    add_routes(app, api_endpoints(), API)
    return app
