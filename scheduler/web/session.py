"""Who is signed in on the pages: a sealed cookie that names a token, never the token itself.

The cookie opens pages alone; the API wants its bearer token, so that no other site can make a
browser call it. Forms carry a word that only our own pages know.
"""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass

from aiohttp import web

from scheduler.services import Services
from scheduler.store import tokens
from scheduler.store.tokens import Caller, Scope
from scheduler.vault import VaultError

COOKIE = "estafette_session"
LASTS = 12 * 3600  # seconds


@dataclass(frozen=True, slots=True)
class Session:
    """A signed-in reader; `word` has to come back with every form."""

    caller: Caller
    word: str

    def sent(self, word: object) -> bool:
        """Whether a form came from one of our pages."""
        sent = word.encode("utf-8", "replace") if isinstance(word, str) else b""
        return hmac.compare_digest(sent, self.word.encode())


def begin(response: web.StreamResponse, services: Services, caller: Caller) -> None:
    """Sign in."""
    until = services.clock.micros() + LASTS * 1_000_000
    sealed = services.vault.seal(
        {"token": caller.id, "word": secrets.token_urlsafe(16), "until": until}
    )
    response.set_cookie(
        COOKIE,
        sealed.decode(),
        max_age=LASTS,
        httponly=True,
        samesite="Strict",
        secure=services.settings.effective_public_url.startswith("https:"),
    )


def end(response: web.StreamResponse) -> None:
    """Sign out."""
    response.del_cookie(COOKIE)


async def current(request: web.Request, services: Services) -> Session | None:
    """Who is signed in: None without a cookie, when it or its token has ended, or when the token
    may not read (a calendar's address is passed around)."""
    sealed = request.cookies.get(COOKIE)
    if sealed is None:
        return None
    try:
        held = services.vault.open(sealed.encode())
    except VaultError:
        return None
    now = services.clock.micros()
    if held.get("until", 0) <= now:
        return None
    async with services.database.read() as connection:
        row = await tokens.by_id(connection, held["token"], now)
    if row is None:
        return None
    caller = tokens.caller_of(row)
    return Session(caller, held["word"]) if caller.may(Scope.READ) else None
