"""A TCP proxy that spoils one kind of request: the network between us and a real server, which
speaks HTTP or SMTP."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Literal, Self


class Spoil(Enum):
    """What happens to a matching request, by SMTP a mail. `REFUSE`: the connection is closed
    before anything of it reaches the server. `CUT`: the server has answered, the client reads
    nothing of it. `HOLD`: as CUT, but the connection stays open. `TEAR`: the server gets the head
    and a part of the body.
    """

    REFUSE = auto()
    CUT = auto()
    HOLD = auto()
    TEAR = auto()


@dataclass(slots=True)
class Proxy:
    """Forwards to `host:port`; spoils each request whose first line contains `match`, by SMTP
    each mail whose envelope does.

    `hits` counts the requests that matched; `answered` is set when the server has answered one.
    By SMTP, mails after the first `times` pass.
    """

    host: str
    port: int
    speaks: Literal["http", "smtp"] = "http"
    match: str = ""
    spoil: Spoil | None = None
    times: int = 1_000_000
    hits: int = 0
    answered: asyncio.Event = field(default_factory=asyncio.Event)
    listens_on: int = 0
    _server: asyncio.Server | None = None
    _open: set[asyncio.Task[None]] = field(default_factory=set)

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.listens_on = self._server.sockets[0].getsockname()[1]
        return self

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.listens_on}"

    async def __aexit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.close()
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                await (self._one if self.speaks == "http" else self._mails)(reader, writer)
        finally:
            self._open.discard(task)
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request a connection: the servers behind it close theirs too."""
        head = await reader.readuntil(b"\r\n\r\n")
        spoil = self.spoil if self.match.encode() in head.split(b"\r\n", 1)[0] else None
        if spoil is not None:
            self.hits += 1
        if spoil is Spoil.REFUSE:
            writer.transport.abort()
            return
        body = await reader.readexactly(_length(head))
        up_reader, up_writer = await asyncio.open_connection(self.host, self.port)
        try:
            up_writer.write(head.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
            up_writer.write(body[: len(body) // 2] if spoil is Spoil.TEAR else body)
            await up_writer.drain()
            if spoil is Spoil.TEAR:
                up_writer.close()
                writer.transport.abort()
                return
            answer = await up_reader.read()
            if spoil is None:
                writer.write(answer)
                await writer.drain()
                return
            self.answered.set()
            if spoil is Spoil.HOLD:
                await reader.read()  # until the client gives up
            writer.transport.abort()
        finally:
            up_writer.close()

    async def _mails(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """A whole SMTP session, in the clear; several mails may pass before one is spoiled."""
        up_reader, up_writer = await asyncio.open_connection(self.host, self.port)
        session = _Session(self, writer)
        answers = asyncio.create_task(session.pass_answers(up_reader))
        envelope = b""
        try:
            while line := await reader.readline():
                envelope += line
                matches = self.match.encode() in envelope and self.hits < self.times
                spoil = self.spoil if matches else None
                if not session.in_body:
                    if spoil is Spoil.REFUSE:
                        self.hits += 1
                        return
                    up_writer.write(line)
                    continue
                body = line if line == b".\r\n" else line + await reader.readuntil(b"\r\n.\r\n")
                if spoil is not None:
                    self.hits += 1
                    await self._spoiled(spoil, body, session, reader, up_writer)
                    return
                session.in_body, envelope = False, b""
                up_writer.write(body)
        finally:
            writer.transport.abort()
            up_writer.close()
            answers.cancel()

    async def _spoiled(
        self,
        spoil: Spoil,
        body: bytes,
        session: _Session,
        reader: asyncio.StreamReader,
        up_writer: asyncio.StreamWriter,
    ) -> None:
        session.muted = spoil is not Spoil.TEAR
        up_writer.write(body if session.muted else body[: len(body) // 2])
        await up_writer.drain()
        if session.muted:
            await self.answered.wait()
        if spoil is Spoil.HOLD:
            await reader.read()  # until the client gives up


@dataclass(slots=True)
class _Session:
    """What the server says, on its way to the client. `in_body`: it asked for a mail's text."""

    proxy: Proxy
    writer: asyncio.StreamWriter
    in_body: bool = False
    muted: bool = False

    async def pass_answers(self, up_reader: asyncio.StreamReader) -> None:
        while line := await up_reader.readline():
            if self.muted:
                self.proxy.answered.set()
                continue
            self.in_body = self.in_body or line.startswith(b"354")
            self.writer.write(line)
        self.writer.close()


def _length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0
