"""The public page as visitors see it: with a computer's browser and with a phone's.

The two can differ, and the platform's API tells neither.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from enum import StrEnum

from yarl import URL

from channels.http import AnswerLostError, HttpClient, NotSentError, Reply

TIMEOUT = 15.0

_ACCEPT = "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8"
_BROWSERS = {
    "desktop": "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    "phone": "Mozilla/5.0 (Android 14; Mobile; rv:128.0) Gecko/128.0 Firefox/128.0",
}
_DOORS = ("login", "checkpoint", "authwall", "consent")


class Sight(StrEnum):
    """What one visitor saw. `UNKNOWN`: a login wall, a refusal, no answer: proves nothing."""

    SEEN = "seen"
    HIDDEN = "hidden"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """One look at the page: kept as evidence. `status`: the HTTP status, None without answer."""

    browser: str
    url: str
    sight: Sight
    status: int | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Visits:
    """Both looks."""

    desktop: Visit
    phone: Visit


async def visit(http: HttpClient, url: str) -> Visits:
    """Ask for the page as each browser would; never raises for what the network does."""
    desktop, phone = await asyncio.gather(_look(http, url, "desktop"), _look(http, url, "phone"))
    return Visits(desktop, phone)


async def _look(http: HttpClient, url: str, browser: str) -> Visit:
    headers = {
        "User-Agent": _BROWSERS[browser], "Accept": _ACCEPT, "Accept-Language": "en,fr;q=0.8",
    }  # fmt: skip
    try:
        reply = await http.request("GET", url, headers=headers, timeout=TIMEOUT, follow=True)
    except (NotSentError, AnswerLostError) as error:
        return Visit(browser=browser, url=url, sight=Sight.UNKNOWN, detail=str(error))
    return Visit(
        browser=browser, url=reply.url or url, sight=read_sight(reply), status=reply.status
    )


def read_sight(reply: Reply) -> Sight:
    """404 and 410 hide the page; a page that only asks to log in proves nothing."""
    if reply.status in {404, 410}:
        return Sight.HIDDEN
    path = URL(reply.url).path.lower() if reply.url else ""
    if 200 <= reply.status < 300 and not any(door in path for door in _DOORS):
        return Sight.SEEN
    return Sight.UNKNOWN
