"""Where aiohttp's application and requests keep what handlers need."""

from __future__ import annotations

from aiohttp import web

from scheduler.services import Services
from scheduler.store.tokens import Caller

SERVICES: web.AppKey[Services] = web.AppKey("services", Services)
CALLER: web.RequestKey[Caller] = web.RequestKey("caller", Caller)
