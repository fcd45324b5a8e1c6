"""Addresses of hosts, each looked up in a thread of its own.

The event loops look names up in a pool of a few threads: uvloop two at a time, asyncio half a dozen
that also read files. A name server that answers for some hosts only after half a minute, or never,
would fill them, and all other hosts would wait, too. Here it keeps nobody waiting but those who ask
for the same host; they share one look-up. The system's resolver is asked, and so its hosts file and
search domains count. The threads are daemons, for nothing can interrupt a look-up.

There are only so many threads. The last of them are for hosts that answered quickly before: silent
ones, however many, take the others, and keep waiting those alone that were never asked for.
"""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from contextlib import suppress
from ipaddress import ip_address
from ssl import SSLContext
from typing import Any
from weakref import WeakKeyDictionary

from aiohttp.abc import AbstractResolver, ResolveResult

THREADS = 128
STRANGERS = 96  # of those, for hosts that are not known to answer
QUICK = 1.0  # seconds
REMEMBERED = 4096

_NUMERIC = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
_Question = tuple[str, int, int, int]
_Told = list[Any]


class _LookUps:
    """Those of one event loop."""

    def __init__(self) -> None:
        self._answers: dict[_Question, asyncio.Future[_Told]] = {}
        self._askers: Counter[_Question] = Counter()
        self._known: deque[_Question] = deque()
        self._strange: deque[_Question] = deque()
        self._quick: dict[str, None] = {"localhost": None}  # the last that answered comes last
        self._threads = 0

    async def answer(self, question: _Question) -> _Told:
        """Error: OSError."""
        answer = self._answers.get(question)
        if answer is None:
            answer = asyncio.get_running_loop().create_future()
            answer.add_done_callback(_heard)
            self._answers[question] = answer
            (self._known if question[0] in self._quick else self._strange).append(question)
        self._askers[question] += 1
        self._begin()
        try:
            return await asyncio.shield(answer)
        finally:
            self._askers[question] -= 1
            if not self._askers[question]:
                del self._askers[question]

    def _begin(self) -> None:
        for waiting, most in ((self._known, THREADS), (self._strange, STRANGERS)):
            while waiting and self._threads < most:
                question = waiting.popleft()
                if question in self._askers:
                    self._start(question)
                else:  # all who asked gave up
                    self._answers.pop(question).cancel()

    def _start(self, question: _Question) -> None:
        loop = asyncio.get_running_loop()
        begun = time.monotonic()

        def told(found: _Told | Exception) -> None:
            self._threads -= 1
            self._note(question[0], quick=time.monotonic() - begun < QUICK)
            self._tell(question, found)
            self._begin()

        def ask() -> None:
            found = _ask(question)
            with suppress(RuntimeError):  # the loop ended meanwhile, and so did all who asked
                loop.call_soon_threadsafe(told, found)

        self._threads += 1
        try:
            threading.Thread(target=ask, name=f"name {question[0]}", daemon=True).start()
        except RuntimeError as error:  # no more threads: whoever asks next must not wait for this
            self._threads -= 1
            self._tell(question, socket.gaierror(socket.EAI_AGAIN, str(error)))

    def _note(self, host: str, *, quick: bool) -> None:
        self._quick.pop(host, None)
        if quick:
            self._quick[host] = None
            if len(self._quick) > REMEMBERED:
                del self._quick[next(iter(self._quick))]

    def _tell(self, question: _Question, found: _Told | Exception) -> None:
        answer = self._answers.pop(question)
        if answer.done():  # the loop ended, and cancelled it
            return
        if isinstance(found, Exception):
            answer.set_exception(found)
        else:
            answer.set_result(found)


_look_ups: WeakKeyDictionary[asyncio.AbstractEventLoop, _LookUps] = WeakKeyDictionary()


async def look_up(host: str, port: int, *, family: int = socket.AF_UNSPEC, flags: int = 0) -> _Told:
    """What `socket.getaddrinfo` says of streams to this host. Error: OSError (gaierror)."""
    if _is_address(host):  # nobody is asked
        return socket.getaddrinfo(
            host, port, family=family, type=socket.SOCK_STREAM, flags=flags | socket.AI_NUMERICHOST
        )
    look_ups = _look_ups.setdefault(asyncio.get_running_loop(), _LookUps())
    return await look_ups.answer((host, port, family, flags))


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _ask(question: _Question) -> _Told | Exception:
    host, port, family, flags = question
    try:
        return socket.getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM, flags=flags)
    except UnicodeError:
        return socket.gaierror(socket.EAI_NONAME, "not the name of a host")
    except Exception as error:  # noqa: BLE001 -- it is whoever asked who has to hear of it
        return error


def _heard(answer: asyncio.Future[_Told]) -> None:
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
