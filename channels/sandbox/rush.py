"""How many writes a practice platform had under way at once: what limits promise to bound."""

from __future__ import annotations

from collections import Counter

from aiohttp import web
from aiohttp.typedefs import Handler


class Rush:
    """`most`: writes under way at once, by path."""

    def __init__(self) -> None:
        self.most: Counter[str] = Counter()
        self._now: Counter[str] = Counter()

    @web.middleware
    async def count(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Counts, and lets all through."""
        if request.method != "POST":
            return await handler(request)
        self._now[request.path] += 1
        self.most[request.path] = max(self.most[request.path], self._now[request.path])
        try:
            return await handler(request)
        finally:
            self._now[request.path] -= 1
