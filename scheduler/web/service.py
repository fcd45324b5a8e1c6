"""The service about itself: alive, ready, measured."""

from __future__ import annotations

from aiohttp import web
from prometheus_client import generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from typing_extensions import TypedDict

from scheduler import __version__
from scheduler.refusals import Refusal
from scheduler.web.endpoint import Answer, Call, Endpoints
from scheduler.web.readiness import Readiness, look

endpoints = Endpoints("service")


class Alive(TypedDict):
    """This process answers."""

    status: str
    version: str


@endpoints.get("/healthz")
async def healthz(call: Call) -> Alive:  # noqa: ARG001 -- the shape of a handler
    """Whether this process answers: what a supervisor restarts it by."""
    return {"status": "ok", "version": __version__}


@endpoints.get("/readyz", refusals=(Refusal.UNAVAILABLE,))
async def readyz(call: Call) -> Answer[Readiness]:
    """Whether posts are taken and delivered: 503, with what to do, when they are not."""
    found = await look(call.services)
    return Answer(found, status=200 if found["ready"] else 503)


@endpoints.get("/metrics", media_type="text/plain")
async def metrics(call: Call) -> web.Response:  # noqa: ARG001 -- the shape of a handler
    """Measures in Prometheus's text format."""
    return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})
