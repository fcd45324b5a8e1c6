"""The page as its readers see it: what the API cannot know.

A page can answer every API call and yet be hidden from everyone who is not on a phone, for no
stated reason. So a probe also knocks at the front door, when the account says where that is.
"""

from __future__ import annotations

from dataclasses import replace

from channels.http import AnswerLostError, HttpClient, NotSentError
from channels.outcome import Evidence, Health, HealthStatus

_COMPUTER = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0"
_PHONE = "Mozilla/5.0 (Linux; Android 16) AppleWebKit/537.36 (KHTML, like Gecko) Mobile Safari/537"
_HIDDEN = frozenset({404, 410})


async def seen_by_readers(http: HttpClient, url: str, health: Health) -> Health:
    """`health`, or DEGRADED when a visitor finds no page there.

    Only a clear "not found" counts: a login wall, a refusal of robots or no answer says nothing
    about what people see.
    """
    computer = await _knock(http, url, _COMPUTER)
    if computer not in _HIDDEN:
        return health
    phone = await _knock(http, url, _PHONE)
    who = "everybody" if phone in _HIDDEN else "everybody who is not on a phone"
    return replace(
        health,
        status=HealthStatus.DEGRADED,
        detail=f"Facebook answers us, but hides the page from {who}",
        remedy="Open the page in a private window; write to Facebook's support, and say it on"
        " the other channels.",
        evidence=Evidence(request=f"GET {url}", status=computer),
    )


async def _knock(http: HttpClient, url: str, browser: str) -> int | None:
    """The status a visitor gets, None without an answer."""
    try:
        reply = await http.request("GET", url, headers={"User-Agent": browser}, follow=True)
    except (NotSentError, AnswerLostError):
        return None
    return reply.status
