"""The web application: middlewares, routes, and nothing that decides."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from aiohttp import web

from scheduler import pulse
from scheduler.care import watchman_of
from scheduler.proofs import Proofreader
from scheduler.services import Services
from scheduler.settings import Settings
from scheduler.web import auth, docs, measure, problems, service
from scheduler.web.api import (
    accounts,
    addresses,
    agenda,
    alerts,
    basket,
    campaigns,
    contacts,
    deliverability,
    deliveries,
    drills,
    events,
    lists,
    logins,
    mailings,
    media,
    plan_b,
    posts,
    proofs,
    recurrences,
    returns,
    routes,
    segments,
    tokens,
    transfers,
)
from scheduler.web.api.uploads import tidy
from scheduler.web.connect import setup_connect
from scheduler.web.deliverability import setup_deliverability
from scheduler.web.endpoint import MAX_JSON, Endpoint, add_routes
from scheduler.web.feed import Feed
from scheduler.web.hooks import setup_hooks
from scheduler.web.keys import SERVICES
from scheduler.web.lent import setup_lent
from scheduler.web.letters import setup_letters
from scheduler.web.pages import lost, setup_pages
from scheduler.web.preferences import setup_preferences
from scheduler.web.proof_page import setup_proofs
from scheduler.web.public import Press
from scheduler.web.signup import setup_signup
from scheduler.web.site import setup_site
from scheduler.web.site_views import SiteInfo
from scheduler.web.unsubscribe import setup_unsubscribe

API = "/api/v1"
_MODULES = (
    posts,
    proofs,
    campaigns,
    recurrences,
    agenda,
    deliveries,
    accounts,
    deliverability,
    logins,
    routes,
    plan_b,
    drills,
    basket,
    alerts,
    lists,
    transfers,
    contacts,
    addresses,
    segments,
    mailings,
    returns,
    media,
    events,
    tokens,
)


def api_endpoints() -> dict[str, list[Endpoint]]:
    """Every endpoint by the prefix it is served below, in the order of the document."""
    return {
        API: [endpoint for module in _MODULES for endpoint in module.endpoints.all],
        "": service.endpoints.all,
    }


def create_app(services: Services) -> web.Application:
    """The whole HTTP side of one process; `services` stay open while it runs."""
    app = web.Application(
        client_max_size=MAX_JSON,
        middlewares=[
            measure.middleware,
            problems.middleware,
            lost,
            auth.middleware,
            *([measure.traced] if services.settings.tracing else []),
        ],
    )
    app[SERVICES] = services
    app[auth.DOORKEEPER] = auth.Doorkeeper(services.database, services.clock)
    app[events.FEED] = Feed(services.database)
    app[proofs.PROOFREADER] = Proofreader(services=services)
    app.on_startup.append(_tidy)
    app.on_shutdown.append(_end_streams)
    app.cleanup_ctx.append(_watched)
    for prefix, endpoints in api_endpoints().items():
        add_routes(app, endpoints, prefix)
    docs.add_routes(app, api_endpoints(), API)
    setup_pages(app)
    setup_connect(app)
    setup_proofs(app, app[proofs.PROOFREADER])
    setup_deliverability(app)
    setup_hooks(app, services)
    press = Press()
    setup_unsubscribe(app, services, press)
    setup_signup(app, services, press)
    setup_preferences(app, services, press)
    setup_letters(app, services, press)
    setup_lent(app, services)
    setup_site(
        app,
        pages=services.pages,
        info=lambda: _site(services.settings),
        data_dir=services.settings.data_dir,
    )
    return app


def _site(settings: Settings) -> SiteInfo:
    return SiteInfo(
        name=settings.site_name,
        description=settings.site_description,
        author=settings.site_author,
        base_url=settings.effective_public_url,
        language=settings.language,
        zone=settings.zone,
    )


async def _watched(app: web.Application) -> AsyncIterator[None]:
    """While the API serves, it watches the workers, for dead ones tell nobody, the database, and
    Redis where there is one."""
    services = app[SERVICES]
    watches = [
        asyncio.create_task(watchman_of(services).run()),
        asyncio.create_task(pulse.run(services.database)),
    ]
    if services.settings.has_redis:
        from scheduler import lookout  # its client is large

        look = lookout.watch(services.settings.redis_url, services.settings)
        watches.append(asyncio.create_task(look))
    yield
    for watch in watches:
        watch.cancel()
    await asyncio.gather(*watches, return_exceptions=True)


async def _tidy(app: web.Application) -> None:
    await asyncio.to_thread(tidy, app[SERVICES].settings.data_dir / "imports")


async def _end_streams(app: web.Application) -> None:
    """Live streams would hold a stopping server for ever."""
    await app[events.FEED].close()
