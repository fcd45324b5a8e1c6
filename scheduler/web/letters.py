"""`/letters/{list}`: past newsletters, where their list has an archive; `/l/{token}`: a link of a
newsletter, counted and passed on.

A link leads only where we wrote it to: the address is in the signed token. It is the same for all
readers, and there is no cookie: only in mails to those who agreed to that, a query names them.
`/o/{token}` is the picture in their mails. What asks without a person behind it (HEAD, prefetching,
scanners that say what they are) does not count.
"""

from __future__ import annotations

import re
from base64 import b64decode

import structlog
from aiohttp import web
from babel.dates import format_date

from scheduler.audience.links import unseal
from scheduler.audience.tracking import BY_QUERY, Trail
from scheduler.clock import moment
from scheduler.mailing import CLICK
from scheduler.services import Services
from scheduler.store import lists, mailings, traces
from scheduler.times import zone_named
from scheduler.web.docs import PAGE_HEADERS
from scheduler.web.public import Press, key_of, reader_language

log = structlog.get_logger()
SHOWN = 200
_PIXEL = b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")
_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src 'self' data: http: https:;"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
# No person: crawlers, link previews, mail scanners and tools, as far as they say so.
_ROBOT = re.compile(
    r"bot\b|crawl|spider|slurp|scan|preview|prefetch|monitor|check|facebookexternalhit|whatsapp"
    r"|skype|teams|slack|telegram|barracuda|proofpoint|mimecast|safelinks|symantec|trendmicro"
    r"|headless|python|curl|wget|java/|go-http|okhttp|libwww|axios|node-fetch|apache-httpclient",
    re.IGNORECASE,
)


def setup_letters(app: web.Application, services: Services, press: Press) -> None:
    """Serve the archive and the links."""
    handlers = _Letters(services, press)
    app.router.add_get("/letters/{list}", handlers.index)
    app.router.add_get("/letters/{list}/{slug}", handlers.letter)
    app.router.add_get("/l/{token}", handlers.follow)
    app.router.add_get("/o/{token}", handlers.opened)


class _Letters:
    def __init__(self, services: Services, press: Press) -> None:
        self._services, self._press = services, press
        self._key = key_of(services)
        self._trail = Trail(public_url=services.settings.effective_public_url, key=self._key)

    async def index(self, request: web.Request) -> web.Response:
        """All pages of a list."""
        list_id = request.match_info["list"]
        async with self._services.database.read() as connection:
            found = await lists.get(connection, list_id)
            if found is None or not found["archive"]:
                return self._missing(request)
            rows = await mailings.letters_of(connection, list_id, limit=SHOWN)
        language = reader_language(request, found["language"])
        zone = zone_named(self._services.settings.zone)
        return self._press.page(
            request,
            "letters.html",
            found["name"],
            language=language,
            headers=_robots(indexed=found["indexed"]),
            indexed=found["indexed"],
            description=found["description"],
            signup=f"/signup/{list_id}" if found["open"] else "",
            letters=[
                {
                    **row,
                    "path": f"/letters/{list_id}/{row['slug']}",
                    "date": format_date(
                        moment(row["published_at"]).astimezone(zone), "long", locale=language
                    ),
                }
                for row in rows
            ],
        )

    async def letter(self, request: web.Request) -> web.Response:
        """One page, as it was sent and with nobody's data."""
        async with self._services.database.read() as connection:
            row = await mailings.letter(
                connection, request.match_info["list"], request.match_info["slug"]
            )
        if row is None:
            return self._missing(request)
        if row["withdrawn_at"] is not None:
            return self._missing(request, status=410, language=row["language"])
        headers = {
            **PAGE_HEADERS,
            "Content-Security-Policy": _POLICY,
            "Cache-Control": "public, max-age=60",
            **_robots(indexed=row["indexed"]),
        }
        return web.Response(text=row["html"], content_type="text/html", headers=headers)

    async def follow(self, request: web.Request) -> web.Response:
        """On to where the link leads."""
        named = unseal(self._key, CLICK, request.match_info["token"])
        if named is None or len(named) != 2:
            return self._missing(request)
        delivery_id, url = named
        if _by_a_person(request):
            follower = self._trail.follower(request.query.get(BY_QUERY, ""))
            await self._count(delivery_id, url, follower)
        headers = {
            "Location": url,
            "Cache-Control": "no-store",
            "Referrer-Policy": "no-referrer",
            "X-Robots-Tag": "noindex",
        }
        return web.Response(status=302, headers=headers)

    async def opened(self, request: web.Request) -> web.Response:
        """A picture of one pixel that nobody sees."""
        named = self._trail.opened(request.match_info["token"])
        if named is None:
            return self._missing(request)
        if _by_a_person(request):
            await self._note(*named, None)
        headers = {"Cache-Control": "no-store", "X-Robots-Tag": "noindex"}
        return web.Response(body=_PIXEL, content_type="image/gif", headers=headers)

    async def _count(self, delivery_id: str, url: str, follower: str | None) -> None:
        database = self._services.database
        try:
            async with database.write() as connection:
                await mailings.click(connection, database, delivery_id, url)
        except Exception:  # the reader gets where they want, counted or not
            log.exception("click.uncounted", delivery=delivery_id)
        if follower is not None:
            await self._note(delivery_id, follower, url)

    async def _note(self, delivery_id: str, contact_id: str, url: str | None) -> None:
        services = self._services
        try:
            async with services.database.write() as connection:
                await traces.note(
                    connection, services.database, delivery_id=delivery_id, contact_id=contact_id,
                    url=url, now=services.clock.micros(),
                )  # fmt: skip
        except Exception:
            log.exception("trace.unnoted", delivery=delivery_id)

    def _missing(
        self, request: web.Request, *, status: int = 404, language: str = ""
    ) -> web.Response:
        words = ("taken_down", "taken_down_text") if status == 410 else ("unknown", "nothing_here")
        return self._press.notice(
            request, *words, language=reader_language(request, language), status=status
        )


def _robots(*, indexed: bool) -> dict[str, str]:
    return {"X-Robots-Tag": "all" if indexed else "noindex"}


def _by_a_person(request: web.Request) -> bool:
    purpose = request.headers.get("Sec-Purpose", "") + request.headers.get("Purpose", "")
    agent = request.headers.get("User-Agent", "")
    return (
        request.method == "GET"
        and "prefetch" not in purpose
        and bool(agent)
        and _ROBOT.search(agent) is None
    )
