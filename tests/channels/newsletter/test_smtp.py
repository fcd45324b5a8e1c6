"""The SMTP client against real servers on real sockets: aiosmtpd, and servers with bad manners."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from channels.newsletter.courier import MailCourier
from channels.newsletter.replies import Stage
from channels.newsletter.smtp import Connection, LostError, RefusedError, Server, connect
from channels.outcome import Delivered, Unavailable
from tests.support.certificates import own_certificate

from .support import account, adapter, post, reader

MAIL = b"Subject: x\r\n\r\n.a line that starts with a dot\r\n..two\r\n"
PATIENCE = 60.0  # seconds
Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1 that vouches for itself, with its key in one file."""
    return own_certificate(tmp_path_factory.mktemp("tls") / "server.pem")


class Keeper:
    """aiosmtpd's hooks: keeps what arrives, and how it came."""

    def __init__(self) -> None:
        self.mails: list[tuple[bytes, bool, bool]] = []

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 -- aiosmtpd's name
        content = envelope.content
        assert isinstance(content, bytes)
        assert server.transport is not None
        encrypted = server.transport.get_extra_info("sslcontext") is not None
        self.mails.append((content, encrypted, session.authenticated is True))
        return "250 2.0.0 kept"

    def authenticate(
        self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any
    ) -> AuthResult:
        right = isinstance(data, LoginPassword) and data == LoginPassword(b"anna", b"geheim")
        return AuthResult(success=right, handled=False)


async def hung_up() -> None:
    """Wait until nothing that this loop opened or took is connected any more: what still was when
    it ends would be told as left open. With TLS both sides say goodbye."""
    loop: Any = asyncio.get_running_loop()
    async with asyncio.timeout(PATIENCE):
        while any(one._sock is not None for one in loop._transports.values()):  # noqa: ASYNC110 -- the loop tells nobody
            await asyncio.sleep(0.001)


@asynccontextmanager
async def aiosmtpd_server(
    keeper: Keeper, certificate: Path, tls: str, **options: Any
) -> AsyncIterator[int]:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    loop = asyncio.get_running_loop()

    def session() -> SMTP:
        return SMTP(
            keeper,
            hostname="127.0.0.1",
            tls_context=context if tls == "starttls" else None,
            require_starttls=tls == "starttls",
            auth_require_tls=tls == "starttls",
            authenticator=keeper.authenticate,
            loop=loop,
            **options,
        )

    server = await loop.create_server(
        session, "127.0.0.1", 0, ssl=context if tls == "tls" else None
    )
    async with server:
        yield server.sockets[0].getsockname()[1]
        await hung_up()


@asynccontextmanager
async def talking(talk: Talk) -> AsyncIterator[int]:
    """A server of our own words."""
    tasks: set[asyncio.Task[None]] = set()

    def accept(read: asyncio.StreamReader, write: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.get_running_loop().create_task(talk(read, write)))

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]
    await asyncio.gather(*tasks, return_exceptions=True)
    await hung_up()


def _server(port: int, tls: str = "none", ca: Path | None = None) -> Server:
    context = None if tls == "none" else ssl.create_default_context(cafile=ca)
    return Server("127.0.0.1", port, tls, context, "us.example.org", PATIENCE)


async def _mail(connection: Connection) -> tuple[Stage, int]:
    stage, reply = await connection.mail(b"us@example.org", b"you@example.org", MAIL)
    return stage, reply.code


@pytest.mark.parametrize("tls", ["none", "starttls", "tls"])
async def test_mail_arrives_byte_for_byte(certificate: Path, tls: str) -> None:
    keeper = Keeper()
    async with aiosmtpd_server(keeper, certificate, tls) as port:
        server = _server(port, tls, certificate)
        username = "anna" if tls == "starttls" else ""
        connection = await connect(server, username=username, password="geheim")
        assert await _mail(connection) == (Stage.BODY, 250)
        assert await _mail(connection) == (Stage.BODY, 250)
        await connection.close()
    assert keeper.mails == [(MAIL, tls != "none", tls == "starttls")] * 2


async def test_a_certificate_nobody_vouches_for_is_refused(certificate: Path) -> None:
    async with aiosmtpd_server(Keeper(), certificate, "starttls") as port:
        with pytest.raises(LostError, match="certificate verify failed"):
            await connect(_server(port, "starttls"))


async def test_encryption_that_was_asked_for_is_not_given_up(certificate: Path) -> None:
    async with aiosmtpd_server(Keeper(), certificate, "none") as port:
        with pytest.raises(RefusedError) as refused:
            await connect(_server(port, "starttls", certificate))
        assert refused.value.stage is Stage.TLS


async def test_a_wrong_password_is_refused_without_being_shown(certificate: Path) -> None:
    async with aiosmtpd_server(Keeper(), certificate, "starttls") as port:
        with pytest.raises(RefusedError) as refused:
            await connect(
                _server(port, "starttls", certificate), username="anna", password="hemlig"
            )
        assert refused.value.reply.code == 535
        assert "hemlig" not in str(refused.value)


async def test_login_works_without_plain(certificate: Path) -> None:
    keeper = Keeper()
    async with aiosmtpd_server(
        keeper, certificate, "starttls", auth_exclude_mechanism=["PLAIN"]
    ) as port:
        connection = await connect(
            _server(port, "starttls", certificate), username="anna", password="geheim"
        )
        assert await _mail(connection) == (Stage.BODY, 250)
        await connection.close()
    assert keeper.mails[0][2]


async def test_the_settings_reach_the_relay(certificate: Path) -> None:
    keeper = Keeper()
    async with aiosmtpd_server(keeper, certificate, "starttls") as port:
        relay = {
            "host": "127.0.0.1", "port": port, "tls": "starttls", "username": "anna",
            "password": "geheim", "ca_file": str(certificate),
        }  # fmt: skip
        ours = account(relays=[relay])
        courier = await adapter().open(adapter().render(post(), ours), ours)
        assert isinstance(courier, MailCourier)
        assert isinstance(await courier.send(reader(), key="k"), Delivered)
        await courier.close()
    assert [(tls, login) for _, tls, login in keeper.mails] == [(True, True)]


class Script:
    """A pipelining server that answers each line by a table and notes what it read; `then` changes
    the table after the first mail."""

    def __init__(
        self,
        answers: dict[str, str],
        *,
        offer: str = "PIPELINING",
        then: dict[str, str] | None = None,
    ) -> None:
        self.then = then or {}
        self.answers = {"EHLO": f"250-script\r\n250 {offer}", "QUIT": "221 bye", **answers}
        self.lines: list[str] = []
        self.writes = 0

    def heard(self, word: str) -> None:
        """The first word of each line, of a mail's too, when it was answered."""
        if word == ".":
            self.answers.update(self.then)

    async def talk(self, read: asyncio.StreamReader, write: asyncio.StreamWriter) -> None:
        write.write(b"220 script\r\n")
        data, body = b"", False
        while chunk := await read.read(65536):
            self.writes += 1
            data += chunk
            *lines, data = data.split(b"\r\n")
            for line in lines:
                word = "." if body and line == b"." else line.split(b" ")[0].decode()
                if body and word != ".":
                    self.heard(word)
                    continue
                self.lines.append(line.decode())
                answer = self.answers.get(word, "250 OK")
                body = answer.startswith("354")
                if answer == "cut":
                    write.transport.abort()
                    return
                write.write(answer.encode() + b"\r\n")
                self.heard(word)
                if word == "QUIT":
                    write.close()
                    return
        write.close()


class Silent(Script):
    """From the word `after` on nothing more will come of it, and the time to wait for that is over
    at once: the loop's clock is put forward."""

    def __init__(
        self, answers: dict[str, str], monkeypatch: pytest.MonkeyPatch, *, after: str
    ) -> None:
        super().__init__(answers)
        self._monkeypatch = monkeypatch
        self._after = after

    def heard(self, word: str) -> None:
        if word == self._after:
            loop = asyncio.get_running_loop()
            now = loop.time
            self._monkeypatch.setattr(loop, "time", lambda: now() + PATIENCE)


async def test_a_refused_reader_with_a_willing_data_gets_the_lone_dot() -> None:
    script = Script({"RCPT": "550 5.1.1 unknown", "DATA": "354 go", ".": "554 no recipients"})
    async with talking(script.talk) as port:
        connection = await connect(_server(port))
        assert await _mail(connection) == (Stage.RECIPIENT, 550)
        script.answers["RCPT"], script.answers["."] = "250 OK", "250 kept"
        assert await _mail(connection) == (Stage.BODY, 250)
        await connection.close()
    assert script.lines[1:6] == [
        "MAIL FROM:<us@example.org>", "RCPT TO:<you@example.org>", "DATA", ".", "RSET",
    ]  # fmt: skip


async def test_the_first_refusal_decides_when_all_commands_were_sent_at_once() -> None:
    script = Script({"MAIL": "450 4.3.2 later", "RCPT": "503 need MAIL", "DATA": "503 need RCPT"})
    async with talking(script.talk) as port:
        connection = await connect(_server(port))
        assert await _mail(connection) == (Stage.SENDER, 450)
        await connection.close()


async def test_commands_travel_together_only_when_the_server_offers_it() -> None:
    counts = {}
    for offer in ("PIPELINING", "SIZE 1000000"):
        script = Script({"DATA": "354 go", ".": "250 kept"}, offer=offer)
        async with talking(script.talk) as port:
            connection = await connect(_server(port))
            before = script.writes
            assert await _mail(connection) == (Stage.BODY, 250)
            counts[offer] = script.writes - before
            await connection.close()
    assert counts == {"PIPELINING": 2, "SIZE 1000000": 4}


@pytest.mark.parametrize(("word", "dot_sent"), [("MAIL", False), ("DATA", False), (".", True)])
async def test_a_lost_connection_says_whether_the_dot_had_left(word: str, dot_sent: bool) -> None:  # noqa: FBT001 -- a table's column
    script = Script({"DATA": "354 go", ".": "250 kept", word: "cut"})
    async with talking(script.talk) as port:
        connection = await connect(_server(port))
        with pytest.raises(LostError) as lost:
            await _mail(connection)
        assert lost.value.dot_sent is dot_sent


async def test_a_large_mail_cut_before_its_end_was_certainly_not_taken() -> None:
    async def talk(read: asyncio.StreamReader, write: asyncio.StreamWriter) -> None:
        script = Script({"DATA": "354 go"})
        write.write(b"220 hello\r\n")
        await read.readline()
        write.write(script.answers["EHLO"].encode() + b"\r\n")
        for answer in (b"250 OK", b"250 OK", b"354 go"):
            await read.readline()
            write.write(answer + b"\r\n")
        await read.readexactly(1000)
        write.transport.abort()

    async with talking(talk) as port:
        connection = await connect(_server(port))
        with pytest.raises(LostError) as lost:
            await connection.mail(
                b"a@example.org", b"b@example.org", b"x" * 76 + b"\r\n" * 20_000_000
            )
        assert not lost.value.dot_sent


async def test_silence_after_the_dot_is_a_lost_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    never = {"DATA": "354 go", ".": "250-never\r\n250-ends"}
    script = Silent(never, monkeypatch, after=".")
    async with talking(script.talk) as port:
        connection = await connect(_server(port))
        with pytest.raises(LostError, match="no answer") as lost:
            await _mail(connection)
        assert lost.value.dot_sent
        assert not connection.usable


async def test_a_relay_that_closes_after_some_mails_is_entered_again() -> None:
    sessions = 0

    async def talk(read: asyncio.StreamReader, write: asyncio.StreamWriter) -> None:
        nonlocal sessions
        sessions += 1
        enough = {"MAIL": "421 4.3.2 enough for one session", "RCPT": "cut"}
        await Script({"DATA": "354 go", ".": "250 kept"}, then=enough).talk(read, write)

    async with talking(talk) as port:
        ours = account(relays=[{"host": "127.0.0.1", "port": port, "tls": "none"}])
        courier = await adapter().open(adapter().render(post(), ours), ours)
        assert isinstance(courier, MailCourier)
        assert isinstance(await courier.send(reader(), key="1"), Delivered)
        assert isinstance(await courier.send(reader("b@example.org"), key="2"), Delivered)
        await courier.close()
    assert sessions == 2


@pytest.mark.parametrize(
    "greeting", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"220-" + b"x" * 70_000]
)
async def test_a_server_that_speaks_no_smtp_is_no_relay(greeting: bytes) -> None:
    async def talk(read: asyncio.StreamReader, write: asyncio.StreamWriter) -> None:
        write.write(greeting)
        write.close()

    async with talking(talk) as port:
        ours = account(relays=[{"host": "127.0.0.1", "port": port, "tls": "none"}])
        assert isinstance(await adapter().open(adapter().render(post(), ours), ours), Unavailable)


async def test_who_is_cut_off_while_the_relay_says_good_bye_leaves_nothing_open() -> None:
    asked, left = asyncio.Event(), asyncio.Event()

    async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mute\r\n")
        while not (line := await reader.readline()).startswith(b"QUIT"):
            writer.write(b"250 well\r\n" if line else b"")
        asked.set()
        await reader.read()
        writer.close()
        await writer.wait_closed()
        left.set()

    async with await asyncio.start_server(mute, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        connection = await connect(Server("127.0.0.1", port, "none", None, "shop.example", 60))
        closing = asyncio.create_task(connection.close())
        await asked.wait()
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        async with asyncio.timeout(60):
            await left.wait()
