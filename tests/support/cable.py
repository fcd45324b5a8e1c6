"""A cable to a server that can go dead without a word, as when a machine vanishes or a firewall
forgets a connection: what was open carries nothing any more, not even that it arrived, and nobody
is told. New connections go through."""

from __future__ import annotations

import asyncio
import ctypes
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

_PATIENCE = 30
_DONE_WITHIN = 0.05
_ATTACH_FILTER = 26  # SO_ATTACH_FILTER
_DROP_ALL = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0))


class Cable:
    """Between a port of ours and a unix socket of a server's."""

    port: int

    def __init__(self, target: Path) -> None:
        self._target = target
        self._begun: set[asyncio.Task[None]] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._answers: set[asyncio.Task[None]] = set()
        self._ends: list[asyncio.StreamWriter] = []

    def go_dead(self) -> None:
        """Everything that is open now, for good: the kernel drops what comes in, unacknowledged."""
        for end in self._ends:
            if end.transport.is_closing():
                continue
            end.transport.pause_reading()  # type: ignore[attr-defined]
            line = end.get_extra_info("socket")
            if line.family == socket.AF_INET:
                program = struct.pack("HP", 1, ctypes.addressof(_DROP_ALL))
                line.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, program)
        for task in self._tasks:
            task.cancel()
        self._tasks.clear()

    async def lose_answers(self) -> None:
        """What the servers answer on what is open now is lost, and then the connection: what was
        asked before is done, and nobody hears of it."""
        lost, self._ends = self._ends, []
        for task in self._answers:
            task.cancel()
        await asyncio.gather(*self._answers, return_exceptions=True)
        self._answers.clear()
        await asyncio.sleep(_DONE_WITHIN)
        for end in lost:
            end.transport.abort()

    def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection more."""
        task = asyncio.create_task(self._carry(reader, writer))
        self._begun.add(task)
        task.add_done_callback(self._begun.discard)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Until either side ends it."""
        try:
            there, back = await asyncio.open_unix_connection(self._target)
        except BaseException:
            writer.transport.abort()
            raise
        self._ends += [back, writer]
        answers = asyncio.create_task(_pump(there, writer))
        self._answers.add(answers)
        self._tasks |= {answers, asyncio.create_task(_pump(reader, back))}

    async def end(self) -> None:
        """Of everything, also of what has only begun."""
        tasks = self._tasks | self._begun
        for task in tasks:
            task.cancel()
        for each in self._ends:
            each.transport.abort()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


@asynccontextmanager
async def cable(target: Path) -> AsyncIterator[Cable]:
    """To the target's socket."""
    line = Cable(target)
    server = await asyncio.start_server(line.take, "127.0.0.1", 0)
    line.port = server.sockets[0].getsockname()[1]
    try:
        yield line
    finally:
        server.close()
        async with asyncio.timeout(_PATIENCE):
            await line.end()
            while server._active_count:  # type: ignore[attr-defined]
                await asyncio.sleep(0)
                await line.end()
