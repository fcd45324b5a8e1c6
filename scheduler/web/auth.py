"""Who asks: bearer tokens, looked up by hash, remembered for a few seconds."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from aiohttp import web
from aiohttp.typedefs import Handler

from scheduler.clock import Clock
from scheduler.refusals import FieldError, Refusal, RefusedError
from scheduler.store import tokens
from scheduler.store.db import Database
from scheduler.store.tokens import Caller
from scheduler.web.keys import CALLER

REMEMBERED = 5.0  # seconds: how long a revoked token may still work in another process
USED_EVERY = 3600 * 1_000_000  # microseconds between two notes that a token was used
_MOST = 1024


@dataclass(frozen=True, slots=True)
class _Known:
    caller: Caller
    until: float


class Doorkeeper:
    """Knows callers by their token."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._known: OrderedDict[str, _Known] = OrderedDict()

    async def caller(self, secret: str) -> Caller | None:
        """Who holds this token; None when it is unknown, expired or revoked."""
        key = tokens.digest(secret)
        known = self._known.get(key)
        if known is not None and known.until > self._clock.monotonic():
            return known.caller
        now = self._clock.micros()
        async with self._database.read() as connection:
            row = await tokens.find(connection, secret, now)
        if row is None:
            self._known.pop(key, None)
            return None
        if (row["used_at"] or 0) < now - USED_EVERY:
            async with self._database.write() as connection:
                await tokens.touch(connection, row["id"], now)
        caller = tokens.caller_of(row)
        self._known[key] = _Known(caller, self._clock.monotonic() + REMEMBERED)
        if len(self._known) > _MOST:
            self._known.popitem(last=False)
        return caller

    def forget(self) -> None:
        """After a token was revoked here."""
        self._known.clear()


DOORKEEPER: web.AppKey[Doorkeeper] = web.AppKey("doorkeeper", Doorkeeper)


def bearer(request: web.Request) -> str | None:
    """The token of the Authorization header. Error: RefusedError for another kind of header."""
    header = request.headers.get("Authorization")
    if header is None:
        return None
    scheme, _, secret = header.partition(" ")
    if scheme.lower() != "bearer" or not secret.strip():
        raise _refused("the Authorization header is no bearer token")
    return secret.strip()


def _refused(detail: str) -> RefusedError:
    remedy = "send Authorization: Bearer est_…; `estafette token` makes a token"
    return RefusedError(
        Refusal.UNAUTHENTICATED, detail, [FieldError("Authorization", detail, remedy)]
    )


@web.middleware
async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Names the caller when a token is sent; endpoints decide whether they need one. Platforms that
    call back send credentials of their own, which only their channel knows."""
    secret = None if request.path.startswith("/hooks/") else bearer(request)
    if secret is not None:
        caller = await request.app[DOORKEEPER].caller(secret)
        if caller is None:
            raise _refused("this token is unknown, expired or revoked")
        request[CALLER] = caller
    return await handler(request)
