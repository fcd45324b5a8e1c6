"""A TCP proxy that spoils one kind of request: the network between us and a real server."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Self


class Spoil(Enum):
    """What happens to a matching request. `REFUSE`: the connection is closed before anything
    reaches the server. `CUT`: the server has answered, the client reads nothing of it. `HOLD`: as
    CUT, but the connection stays open. `TEAR`: the server gets the head and a part of the body.
    """

    REFUSE = auto()
    CUT = auto()
    HOLD = auto()
    TEAR = auto()


@dataclass(slots=True)
class Proxy:
    """Forwards to `host:port`; spoils each request whose first line contains `match`.

    `hits` counts the requests that matched; `answered` is set when the server has answered one.
    """

    host: str
    port: int
    match: str = ""
    spoil: Spoil | None = None
    hits: int = 0
    answered: asyncio.Event = field(default_factory=asyncio.Event)
    url: str = ""
    _server: asyncio.Server | None = None
    _open: set[asyncio.Task[None]] = field(default_factory=set)

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

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
                await self._one(reader, writer)
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


def _length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0
