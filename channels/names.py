"""Addresses of hosts, each looked up in a thread of its own.

The event loops look names up in a pool of a few threads: uvloop two at a time, asyncio half a dozen
that also read files. A name server that answers for some hosts only after half a minute, or never,
would fill them, and all other hosts would wait, too. Here it keeps nobody waiting but those who ask
for the same host; they share one look-up. The system's resolver is asked, and so its hosts file and
search domains count. The threads are daemons, for nothing can interrupt a look-up.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from ssl import SSLContext
from typing import Any
from weakref import WeakKeyDictionary

from aiohttp.abc import AbstractResolver, ResolveResult

_NUMERIC = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
_Question = tuple[str, int, int, int]
_Told = list[Any]
_Asked = dict[_Question, asyncio.Future[_Told]]

_asked: WeakKeyDictionary[asyncio.AbstractEventLoop, _Asked] = WeakKeyDictionary()


async def look_up(host: str, port: int, *, family: int = socket.AF_UNSPEC, flags: int = 0) -> _Told:
    """What `socket.getaddrinfo` says of streams to this host. Error: OSError (gaierror)."""
    loop = asyncio.get_running_loop()
    under_way = _asked.setdefault(loop, {})
    question = host, port, family, flags
    answer = under_way.get(question)
    if answer is None:
        answer = under_way[question] = loop.create_future()
        answer.add_done_callback(lambda done: _over(under_way, question, done))
        try:
            threading.Thread(
                target=_ask, args=(loop, answer, question), name=f"name {host}", daemon=True
            ).start()
        except RuntimeError as error:  # no more threads: whoever asks next must not wait for this
            answer.cancel()
            del under_way[question]
            raise socket.gaierror(socket.EAI_AGAIN, str(error)) from error
    return await asyncio.shield(answer)


def _ask(
    loop: asyncio.AbstractEventLoop, answer: asyncio.Future[_Told], question: _Question
) -> None:
    host, port, family, flags = question
    found: _Told | Exception
    try:
        found = socket.getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM, flags=flags)
    except UnicodeError:
        found = socket.gaierror(socket.EAI_NONAME, "not the name of a host")
    except Exception as error:  # noqa: BLE001 -- it is whoever asked who has to hear of it
        found = error
    with suppress(RuntimeError):  # the loop ended meanwhile, and so did all who asked
        loop.call_soon_threadsafe(_tell, answer, found)


def _tell(answer: asyncio.Future[_Told], found: _Told | Exception) -> None:
    if answer.done():  # the loop ended, and cancelled it
        return
    if isinstance(found, Exception):
        answer.set_exception(found)
    else:
        answer.set_result(found)


def _over(under_way: _Asked, question: _Question, answer: asyncio.Future[_Told]) -> None:
    under_way.pop(question, None)
    if not answer.cancelled():
        answer.exception()  # whoever asked may have given up


async def connect(
    protocol: Callable[[], asyncio.Protocol],
    host: str,
    port: int,
    *,
    ssl: SSLContext | None = None,
) -> asyncio.Transport:
    """A connection to the first of the host's addresses that takes one. Error: OSError."""
    loop = asyncio.get_running_loop()
    failed: OSError | None = None
    for *_, address in await look_up(host, port):
        try:
            transport, _protocol = await loop.create_connection(
                protocol, _numeric(address), port, ssl=ssl,
                server_hostname=host if ssl else None,
            )  # fmt: skip
        except OSError as error:
            failed = failed or error
        else:
            return transport
    raise failed or OSError(f"{host} has no address")


class Names(AbstractResolver):
    """`look_up` for aiohttp."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        return [
            ResolveResult(
                hostname=host, host=_numeric(address), port=address[1], family=found, proto=proto,
                flags=_NUMERIC,
            )
            for found, _, proto, _, address in await look_up(
                host, port, family=family, flags=socket.AI_ADDRCONFIG
            )
        ]  # fmt: skip

    async def close(self) -> None:
        """There is nothing to close."""


def _numeric(address: Any) -> str:
    """With its zone, which a link-local IPv6 address needs."""
    host = str(address[0])
    return f"{host}%{address[3]}" if len(address) == 4 and address[3] else host
