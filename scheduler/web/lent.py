"""`/m/{token}`: a picture of a post, for the receiver that was given its address.

The address is the key to it: it goes into no index, and ends after some days.
"""

from __future__ import annotations

from aiohttp import web

from scheduler.lending import LENT_PATH, Lender, lender_of
from scheduler.services import Services

_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex",
    "Referrer-Policy": "no-referrer",
}


def setup_lent(app: web.Application, services: Services) -> None:
    """Serve what was lent, when there is a public address to lend it from."""
    lender = lender_of(services.settings)
    if lender is not None:
        handlers = _Lent(services, lender)
        app.router.add_get(f"{LENT_PATH}/{{token}}", handlers.fetch)


class _Lent:
    def __init__(self, services: Services, lender: Lender) -> None:
        self._services, self._lender = services, lender

    async def fetch(self, request: web.Request) -> web.StreamResponse:
        """The file; 410 when its time is over."""
        now = self._services.clock.now()
        loan = self._lender.read(request.match_info["token"], now)
        if loan is None or not loan.path.is_file():
            return web.Response(status=404, text="no such picture", headers=_HEADERS)
        if loan.over:
            return web.Response(status=410, text="lent no more", headers=_HEADERS)
        left = int((loan.until - now).total_seconds())
        return web.FileResponse(
            loan.path,
            headers={
                **_HEADERS,
                "Content-Type": loan.content_type,
                "Cache-Control": f"private, max-age={left}",
            },
        )
