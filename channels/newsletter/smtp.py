"""One SMTP connection that knows how far each mail got.

aiosmtplib serves ordinary mails; it neither pipelines nor says whether the final dot had left when
the connection broke, and that is the difference between sending again and never sending again.
With PIPELINING (RFC 2920) MAIL, RCPT and DATA travel in one write; each reply is read separately.
"""

from __future__ import annotations

import asyncio
import base64
import ssl
from contextlib import suppress
from dataclasses import dataclass

from channels import names
from channels.newsletter.compose import stuffed_with_dots
from channels.newsletter.replies import Reply, Stage
from channels.newsletter.stream import ONE_WRITE, Pack, Stream
from channels.newsletter.wire import LostError, Wire
from channels.streams import Crowd

__all__ = ["Connection", "LostError", "RefusedError", "Server", "connect"]


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


class Connection:
    """A connection that has said EHLO (and logged in); mails go one after the other."""

    def __init__(self, wire: Wire, server: Server) -> None:
        self._wire = wire
        self._server = server
        self._offers: dict[str, str] = {}
        self._dirty = False
        self._talking = False  # an answer is still to come
        self.pipelining = False
        self.mails = 0

    @property
    def usable(self) -> bool:
        return self._wire.usable

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
        self.pipelining = self.offers("PIPELINING")

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
        self._dirty = self._talking = True
        talk = self._all_at_once if self.pipelining else self._one_by_one
        refused = await talk(commands)
        if refused is not None:
            self._talking = False
            return refused
        reply = await self._body(content)
        self._talking = False
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
        stuffed = stuffed_with_dots(content)
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

    async def stream(self, crowd: Crowd, pack: Pack, *, relay: str) -> Stream:
        """Mails to a crowd, one round trip each, as far as this connection goes. `pipelining` is
        needed."""
        stream = Stream(
            self._wire, crowd, pack, relay=relay, timeout=self._server.timeout, dirty=self._dirty
        )
        self._talking = True
        try:
            await stream.run()
            self._talking = False
        finally:
            self._dirty = stream.dirty
            self.mails += stream.mails
        return stream

    async def close(self) -> None:
        """Say QUIT without waiting long, and hang up; at once when an answer is still to come."""
        if self._talking and self._wire.transport is not None:
            self._wire.transport.abort()
        try:
            if not self._talking and self.usable:
                self._wire.write(b"QUIT\r\n")
                with suppress(LostError):
                    await self._wire.reply(min(self._server.timeout, 2.0))
        finally:  # also when who waits for the answer is cut off
            if self._wire.transport is not None:
                self._wire.transport.close()


def _fits(stage: Stage, reply: Reply) -> bool:
    return reply.code == 354 if stage is Stage.DATA else 200 <= reply.code < 300


async def connect(server: Server, *, username: str = "", password: str = "") -> Connection:
    """Connected, encrypted as asked, logged in when there is a user name.

    Errors: LostError (nothing was sent), RefusedError.
    """
    wire = Wire()
    try:
        async with asyncio.timeout(server.timeout):
            transport = await names.connect(
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
