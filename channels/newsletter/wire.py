"""Bytes in, replies of a mail server out: one connection's wire."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import cast

from channels.newsletter.replies import Reply

MAX_REPLY = 64 * 1024
MAX_LINES = 500
# How the one line of most replies begins.
_WHOLE = frozenset(b"%d " % code for code in range(200, 600))
_GOOD, _BAD = ord("2"), ord("5")


class LostError(Exception):
    """The connection broke, or the server fell silent. `dot_sent`: the final dot may have left,
    so the mail may have been accepted."""

    def __init__(self, detail: str, *, dot_sent: bool = False) -> None:
        super().__init__(detail)
        self.dot_sent = dot_sent


class Wire(asyncio.Protocol):
    """Replies as they come, each the bytes of its lines; remembers why the connection ended.

    They are read one by one with `reply`, or, while `listener` is set, by whoever it wakes: it is
    called after each arrival of replies, when the wire may be written to again, and when all is
    lost.
    """

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.replies: deque[bytes] = deque()
        self.listener: Callable[[], None] | None = None
        self.lost: str | None = None
        self.full = False
        self._rest = b""
        self._begun: list[bytes] = []
        self._waiter: asyncio.Future[None] | None = None
        self._writable = asyncio.Event()
        self._writable.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are asyncio's in all but their base class.
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        lines = (self._rest + data if self._rest else data).split(b"\n")
        self._rest = lines.pop()
        for line in lines:
            if line[:4] in _WHOLE and not self._begun:
                self.replies.append(line)
                continue
            code, mark = line[:3], line[3:4]
            if not (code.isdigit() and len(code) == 3 and _GOOD <= code[0] <= _BAD) or (
                mark not in b" -\r"
            ):
                self.give_up(f"not an SMTP reply: {line[:80]!r}")
                return
            if mark == b"-":
                self._begun.append(line)
            elif self._begun:
                self.replies.append(b"\n".join([*self._begun, line]))
                self._begun = []
            else:
                self.replies.append(line)
        if len(self._rest) > MAX_REPLY or len(self._begun) > MAX_LINES:
            self.give_up("the server's reply never ends")
        elif self.replies:
            self._wake()

    def give_up(self, why: str) -> None:
        """Hang up at once; what was written may or may not have arrived."""
        self.lost = self.lost or why
        if self.transport is not None:
            self.transport.abort()
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = self.lost or (str(exc) if exc else "the server closed the connection")
        self._writable.set()
        self._wake()

    def pause_writing(self) -> None:
        self.full = True
        self._writable.clear()

    def resume_writing(self) -> None:
        self.full = False
        self._writable.set()
        if self.listener is not None:
            self.listener()

    def _wake(self) -> None:
        if self.listener is not None:
            self.listener()
        elif self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    @property
    def usable(self) -> bool:
        return self.lost is None and self.transport is not None and not self.transport.is_closing()

    def write(self, data: bytes) -> None:
        """Error: LostError when the connection is known to be broken; nothing was written then."""
        if self.lost is not None or self.transport is None or self.transport.is_closing():
            raise LostError(self.lost or "the connection is closed")
        self.transport.write(data)

    async def drained(self) -> None:
        """All that was written has left this process, or the connection is gone."""
        await self._writable.wait()
        if self.lost is not None:
            raise LostError(self.lost)

    async def reply(self, timeout: float) -> Reply:  # noqa: ASYNC109 -- a timer costs less than asyncio.timeout, once a reply
        """The next reply within `timeout` seconds. Error: LostError."""
        if not self.replies:
            if self.lost is not None:
                raise LostError(self.lost)
            loop = asyncio.get_running_loop()
            self._waiter = loop.create_future()
            timer = loop.call_later(timeout, self.give_up, f"no answer for {timeout:g} seconds")
            try:
                await self._waiter
            finally:
                timer.cancel()
                self._waiter = None
        if not self.replies:
            raise LostError(self.lost or "the connection is closed")
        return Reply.read(self.replies.popleft())

    def forget_plain_text(self) -> None:
        """Whatever arrived before TLS was not said under TLS (CVE-2011-0411)."""
        self._rest, self._begun = b"", []
        self.replies.clear()
