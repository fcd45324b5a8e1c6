"""HTTP for adapters: one request, and an honest word on whether it may have been received.

Three ends are possible, and every adapter needs to tell them apart:

- a `Reply`: the platform answered (whatever the status);
- `NotSentError`: the request certainly never left (name not found, refused, TLS failed);
- `AnswerLostError`: the request may have been received and no answer was read.

aiohttp resends GET, HEAD, OPTIONS, TRACE, PUT and DELETE once by itself after a disconnect
(measured with 3.14.5; `force_close` does not prevent it). A PUT that publishes would go out twice,
so a middleware turns the disconnect into our own exception, which aiohttp does not retry. It never
repeats POST and PATCH, which go without (tested with both).
"""

from __future__ import annotations

import asyncio
import json
import re
import socket
import time
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Self

import aiohttp
import structlog
from aiohttp import (
    AddrInfoType,
    ClientHandlerType,
    ClientMiddlewareType,
    ClientRequest,
    ClientResponse,
)
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.connector import Connection
from pydantic_core import from_json
from yarl import URL

from channels.names import Names
from channels.private import is_private

log = structlog.get_logger()

MAX_BODY = 2 * 1024 * 1024
CONNECT_TIMEOUT = 10.0
DEFAULT_TIMEOUT = 20.0
# Until when a request of this send may begin (`time.monotonic`): the sender's lease. A process that
# was frozen wakes up in the middle of its code, and another may have sent meanwhile.
NOT_AFTER: ContextVar[float] = ContextVar("not_after", default=float("inf"))


class NotSentError(Exception):
    """The request never left this machine; nothing can have been written."""


class AnswerLostError(Exception):
    """The request may have been received; no complete answer was read."""


class PrivateAddressError(NotSentError):
    """A user-given URL points into a private network; refused before connecting."""


# NUL and half a surrogate pair: JSON can say them, and no database takes them.
_ODD = re.compile(rb"\\u(?:0000|[dD][89a-fA-F])")
_UNKNOWN = "\N{REPLACEMENT CHARACTER}"


def _storable(data: Any) -> Any:
    """The same with what no database takes replaced."""
    match data:
        case str():
            return storable(data)
        case dict():
            return {_storable(name): _storable(value) for name, value in data.items()}
        case list():
            return [_storable(value) for value in data]
        case _:
            return data


_HALF = re.compile("[\0\ud800-\udfff]")


def storable(text: str) -> str:
    """The text with what no database takes replaced; itself when there is nothing of it."""
    if text.isascii() and "\0" not in text:  # nearly always, and told at once
        return text
    return _HALF.sub(_UNKNOWN, text) if _HALF.search(text) else text


def _parsed(body: bytes) -> Any:
    try:
        return from_json(body)
    except ValueError:  # half a letter, perhaps: the standard library is slower and takes it
        return json.loads(body)


@dataclass(frozen=True, slots=True)
class Reply:
    """A complete answer. `body` is at most `MAX_BODY` bytes; more is an `AnswerLostError`."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    url: str = ""

    def json(self) -> Any:
        """The body as JSON, or None when it is not JSON (HTML, empty, cut)."""
        try:
            data = _parsed(self.body)
            return _storable(data) if _ODD.search(self.body) else data
        except (ValueError, RecursionError):  # brackets in brackets in brackets
            return None

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace").replace("\0", _UNKNOWN)


_NEVER_RESENT = frozenset({"POST", "PATCH"})


@lru_cache(maxsize=64)
def _limits(total: float) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=total, sock_connect=CONNECT_TIMEOUT)


class _Request(ClientRequest):
    """Looks at the time once more when the connection is there: the last moment to stop."""

    async def send(self, conn: Connection) -> ClientResponse:
        if time.monotonic() > NOT_AFTER.get():
            conn.close()
            raise NotSentError("the sender's lease ended before the request left")
        return await super().send(conn)


async def _no_silent_resend(request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
    try:
        return await handler(request)
    except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as error:
        if isinstance(error, aiohttp.ClientConnectorError):
            raise
        raise AnswerLostError(str(error) or type(error).__name__) from error


def _public_socket(address: AddrInfoType) -> socket.socket:
    """The socket of a connection, refused where it would lead to a private address: names were
    looked at when they were resolved, but a redirect may name an address."""
    family, kind, protocol, _, where = address
    if is_private(str(where[0])):
        raise PrivateAddressError(f"{where[0]} is a private address")
    return socket.socket(family=family, type=kind, proto=protocol)


class PublicOnlyResolver(AbstractResolver):
    """Resolves names and refuses any that lead to a private address (server-side request
    forgery). The check sits in the resolver so that the address checked is the one connected."""

    def __init__(self, inner: AbstractResolver) -> None:
        self._inner = inner

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._inner.resolve(host, port, family)
        private = [entry["host"] for entry in found if is_private(entry["host"])]
        if private:
            raise PrivateAddressError(f"{host} leads to the private address {private[0]}")
        return found

    async def close(self) -> None:
        await self._inner.close()


class HttpClient:
    """One connection pool for every adapter.

    `private_ok`: hosts may be private addresses (practice platforms, a site on the local
    network); a setting of the service, never of a post. `middlewares`: of aiohttp, outermost
    first.
    """

    def __init__(
        self,
        *,
        private_ok: bool,
        user_agent: str = "Estafette",
        limit: int = 0,
        middlewares: Sequence[ClientMiddlewareType] = (),
    ) -> None:
        self._private_ok = private_ok
        self._user_agent = user_agent
        self._limit = limit
        self._middlewares = middlewares
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        resolver: AbstractResolver = Names()
        sockets = None
        if not self._private_ok:
            resolver, sockets = PublicOnlyResolver(resolver), _public_socket
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=self._limit,
                limit_per_host=0,
                resolver=resolver,
                ttl_dns_cache=60,
                socket_factory=sockets,
            ),
            headers={"User-Agent": self._user_agent},
            cookie_jar=aiohttp.DummyCookieJar(),
            request_class=_Request,
            middlewares=(*self._middlewares, _no_silent_resend),
            auto_decompress=True,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def request(
        self,
        method: str,
        url: str | URL,
        *,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
        json_body: Any = None,
        form: Mapping[str, str] | aiohttp.FormData | None = None,
        data: bytes | None = None,
        timeout: float = DEFAULT_TIMEOUT,  # noqa: ASYNC109 -- one knob for callers; aiohttp enforces it
        follow: bool = False,
    ) -> Reply:
        """Send once and read the whole answer within `timeout` seconds.

        Errors: `NotSentError`, `AnswerLostError`. Redirects are not followed unless asked for a
        read: a redirected POST loses its body.
        """
        if self._session is None:
            raise RuntimeError("HttpClient is used outside its context")
        target = url if isinstance(url, URL) else URL(url)
        self._refuse_private_literal(target)
        try:
            async with self._session.request(
                method,
                target,
                headers=headers,
                params=params,
                json=json_body,
                data=form if form is not None else data,
                timeout=_limits(timeout),
                allow_redirects=follow,
                # None: the session's own.
                middlewares=self._middlewares if method in _NEVER_RESENT else None,
            ) as response:
                body = await response.content.read(MAX_BODY + 1)
                while len(body) <= MAX_BODY and not response.content.at_eof():
                    body += await response.content.read(MAX_BODY + 1 - len(body))
                if len(body) > MAX_BODY:
                    raise AnswerLostError("the answer is larger than 2 MiB")
                log.debug("http.answered", method=method, host=target.host, status=response.status)
                return Reply(response.status, response.headers, body, str(response.url))
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise NotSentError(_reason(error)) from error
        except (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError) as error:
            raise NotSentError(f"not a usable address: {_reason(error)}") from error
        except (aiohttp.ClientError, TimeoutError, asyncio.IncompleteReadError, OSError) as error:
            if isinstance(error.__cause__, PrivateAddressError):
                raise error.__cause__ from error
            raise AnswerLostError(_reason(error)) from error

    def _refuse_private_literal(self, url: URL) -> None:
        if self._private_ok or url.host is None:
            return
        try:
            private = is_private(url.host)
        except ValueError:
            return  # a name, not an address: the resolver checks it
        if private:
            raise PrivateAddressError(f"{url.host} is a private address")


def _reason(error: BaseException) -> str:
    return str(error) or type(error).__name__
