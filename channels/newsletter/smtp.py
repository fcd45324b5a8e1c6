"""One SMTP connection that knows how far each mail got.

aiosmtplib serves ordinary mails; it neither pipelines nor says whether the final dot had left when
the connection broke, and that is the difference between sending again and never sending again.
With PIPELINING (RFC 2920) MAIL, RCPT and DATA travel in one write; each reply is read separately.
"""

from __future__ import annotations

import asyncio
import base64
import re
import ssl
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from typing import cast

from channels.newsletter.replies import Reply, Stage

MAX_REPLY = 64 * 1024
# Below this a mail and its final dot leave in one write; above, the dot waits until the rest left.
ONE_WRITE = 48 * 1024

_LINE = re.compile(rb"([2-5]\d\d)(?:([ -])(.*))?", re.DOTALL)


class LostError(Exception):
    """The connection broke, or the server fell silent. `dot_sent`: the final dot may have left,
    so the mail may have been accepted."""

    def __init__(self, detail: str, *, dot_sent: bool = False) -> None:
        super().__init__(detail)
        self.dot_sent = dot_sent


class RefusedError(Exception):
    """The server answered, and will not talk to us like this."""

    def __init__(self, stage: Stage, reply: Reply) -> None:
        super().__init__(f"{stage}: {reply.code} {reply.text}")
        self.stage = stage
        self.reply = reply


@dataclass(frozen=True, slots=True)
class Server:
    """Where to connect and how. `tls`: none, starttls or tls (from the first byte)."""

    host: str
    port: int
    tls: str
    context: ssl.SSLContext | None
    our_name: str
    timeout: float


class _Wire(asyncio.Protocol):
    """Lines in, replies out; remembers why the connection ended."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.replies: deque[Reply] = deque()
        self.lost: str | None = None
        self._buffer = b""
        self._lines: list[str] = []
        self._waiter: asyncio.Future[None] | None = None
        self._writable = asyncio.Event()
        self._writable.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are asyncio's in all but their base class.
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        lines = (self._buffer + data).split(b"\n")
        self._buffer = lines.pop()
        for line in lines:
            self._take(line.rstrip(b"\r"))
        if len(self._buffer) > MAX_REPLY or len(self._lines) > 500:
            self._give_up("the server's reply never ends")
        if self.replies:
            self._wake()

    def _take(self, line: bytes) -> None:
        found = _LINE.fullmatch(line)
        if found is None:
            self._give_up(f"not an SMTP reply: {line[:80]!r}")
            return
        self._lines.append((found[3] or b"").decode("utf-8", "replace"))
        if found[2] != b"-":
            self.replies.append(Reply(int(found[1]), "\n".join(self._lines)))
            self._lines = []

    def _give_up(self, why: str) -> None:
        self.lost = self.lost or why
        if self.transport is not None:
            self.transport.abort()
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = self.lost or (str(exc) if exc else "the server closed the connection")
        self._writable.set()
        self._wake()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

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
            timer = loop.call_later(timeout, self._give_up, f"no answer for {timeout:g} seconds")
            try:
                await self._waiter
            finally:
                timer.cancel()
                self._waiter = None
        if not self.replies:
            raise LostError(self.lost or "the connection is closed")
        return self.replies.popleft()

    def forget_plain_text(self) -> None:
        """Whatever arrived before TLS was not said under TLS (CVE-2011-0411)."""
        self._buffer, self._lines = b"", []
        self.replies.clear()


class Connection:
    """A connection that has said EHLO (and logged in); mails go one after the other."""

    def __init__(self, wire: _Wire, server: Server) -> None:
        self._wire = wire
        self._server = server
        self._offers: dict[str, str] = {}
        self._dirty = False
        self._pipelining = False
        self.mails = 0

    @property
    def usable(self) -> bool:
        wire = self._wire
        return wire.lost is None and wire.transport is not None and not wire.transport.is_closing()

    def offers(self, extension: str) -> bool:
        return extension in self._offers

    async def command(self, line: bytes) -> Reply:
        """One command, one reply. Error: LostError."""
        self._wire.write(line + b"\r\n")
        return await self._wire.reply(self._server.timeout)

    async def _expect(self, stage: Stage, line: bytes) -> Reply:
        reply = await self.command(line)
        if not reply.accepted:
            raise RefusedError(stage, reply)
        return reply

    async def greet(self) -> None:
        reply = await self._wire.reply(self._server.timeout)
        if not reply.accepted:
            raise RefusedError(Stage.GREETING, reply)
        await self.hello()

    async def hello(self) -> None:
        name = self._server.our_name.encode("ascii")
        reply = await self.command(b"EHLO " + name)
        if reply.code in {500, 501, 502, 504}:
            reply = await self.command(b"HELO " + name)
        if not reply.accepted:
            raise RefusedError(Stage.HELLO, reply)
        words = [line.partition(" ") for line in reply.text.split("\n")[1:]]
        self._offers = {keyword.upper(): rest for keyword, _, rest in words}
        self._pipelining = self.offers("PIPELINING")

    async def start_tls(self) -> None:
        if not self.offers("STARTTLS"):
            raise RefusedError(Stage.TLS, Reply(530, "the relay does not offer STARTTLS"))
        await self._expect(Stage.TLS, b"STARTTLS")
        wire, context = self._wire, self._server.context
        assert wire.transport is not None
        assert context is not None
        wire.forget_plain_text()
        loop = asyncio.get_running_loop()
        try:
            wire.transport = await loop.start_tls(
                wire.transport,
                wire,
                context,
                server_hostname=self._server.host,
                ssl_handshake_timeout=self._server.timeout,
            )
        except (OSError, ssl.SSLError) as error:
            raise LostError(f"TLS failed: {error}") from error
        if wire.transport is None:
            raise LostError("TLS failed: the server closed the connection")
        wire.transport.set_write_buffer_limits(high=0)
        await self.hello()

    async def log_in(self, username: str, password: str) -> None:
        """AUTH PLAIN, else LOGIN. Error: RefusedError, also when neither is offered."""
        ways = self._offers.get("AUTH", "").upper().split()
        user, secret = username.encode(), password.encode()
        if "PLAIN" in ways:
            token = base64.b64encode(b"\0" + user + b"\0" + secret)
            await self._expect(Stage.LOGIN, b"AUTH PLAIN " + token)
        elif "LOGIN" in ways:
            await self._expect(Stage.LOGIN, b"AUTH LOGIN")
            await self._expect(Stage.LOGIN, base64.b64encode(user))
            await self._expect(Stage.LOGIN, base64.b64encode(secret))
        else:
            offered = " ".join(ways) or "none"
            raise RefusedError(
                Stage.LOGIN, Reply(538, f"the relay offers no login we know (it offers: {offered})")
            )

    async def mail(self, sender: bytes, recipient: bytes, content: bytes) -> tuple[Stage, Reply]:
        """One mail to one recipient: the stage that decided and its reply (BODY and 2xx: taken).

        `content` ends with CRLF. Error: LostError, whose `dot_sent` says whether the mail may have
        been accepted.
        """
        commands = [
            (Stage.SENDER, b"MAIL FROM:<" + sender + b">\r\n"),
            (Stage.RECIPIENT, b"RCPT TO:<" + recipient + b">\r\n"),
            (Stage.DATA, b"DATA\r\n"),
        ]
        if self._dirty:
            commands.insert(0, (Stage.RESET, b"RSET\r\n"))
        self._dirty = True
        talk = self._all_at_once if self._pipelining else self._one_by_one
        refused = await talk(commands)
        if refused is not None:
            return refused
        reply = await self._body(content)
        self._dirty = not reply.accepted
        self.mails += 1
        return Stage.BODY, reply

    async def _one_by_one(self, commands: list[tuple[Stage, bytes]]) -> tuple[Stage, Reply] | None:
        for stage, line in commands:
            self._wire.write(line)
            reply = await self._wire.reply(self._server.timeout)
            if not _fits(stage, reply):
                return stage, reply
        return None

    async def _all_at_once(self, commands: list[tuple[Stage, bytes]]) -> tuple[Stage, Reply] | None:
        wire, timeout = self._wire, self._server.timeout
        wire.write(b"".join([line for _, line in commands]))
        refused: tuple[Stage, Reply] | None = None
        for stage, _ in commands:
            try:
                reply = await wire.reply(timeout)
            except LostError:
                if refused is None:
                    raise
                return refused
            if refused is None and not _fits(stage, reply):
                refused = stage, reply
        if refused is not None and refused[0] is not Stage.DATA and reply.code == 354:
            # RFC 2920: the server wants a message all the same; an empty one goes to nobody.
            with suppress(LostError):  # the refusal stands; the next mail finds out
                wire.write(b".\r\n")
                await wire.reply(timeout)
        return refused

    async def _body(self, content: bytes) -> Reply:
        wire = self._wire
        stuffed = content.replace(b"\r\n.", b"\r\n..")
        if stuffed.startswith(b"."):
            stuffed = b"." + stuffed
        if len(stuffed) > ONE_WRITE:
            wire.write(stuffed)
            await wire.drained()
            wire.write(b".\r\n")
        else:
            wire.write(stuffed + b".\r\n")
        try:
            return await wire.reply(self._server.timeout)
        except LostError as error:
            raise LostError(str(error), dot_sent=True) from error

    async def close(self) -> None:
        """Say QUIT without waiting long, and hang up."""
        if self.usable:
            self._wire.write(b"QUIT\r\n")
            try:
                await self._wire.reply(min(self._server.timeout, 2.0))
            except LostError:
                return
        if self._wire.transport is not None:
            self._wire.transport.close()


def _fits(stage: Stage, reply: Reply) -> bool:
    return reply.code == 354 if stage is Stage.DATA else 200 <= reply.code < 300


async def connect(server: Server, *, username: str = "", password: str = "") -> Connection:
    """Connected, encrypted as asked, logged in when there is a user name.

    Errors: LostError (nothing was sent), RefusedError.
    """
    loop = asyncio.get_running_loop()
    wire = _Wire()
    try:
        async with asyncio.timeout(server.timeout):
            transport, _ = await loop.create_connection(
                lambda: wire,
                server.host,
                server.port,
                ssl=server.context if server.tls == "tls" else None,
            )
    except TimeoutError as error:
        raise LostError(f"no connection within {server.timeout:g} seconds") from error
    except OSError as error:
        raise LostError(str(error) or type(error).__name__) from error
    transport.set_write_buffer_limits(high=0)
    connection = Connection(wire, server)
    try:
        await connection.greet()
        if server.tls == "starttls":
            await connection.start_tls()
        if username:
            await connection.log_in(username, password)
    except BaseException:
        transport.abort()
        raise
    return connection
