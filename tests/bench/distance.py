"""A loopback proxy that holds all it carries for half a round trip, each way.

`python -m tests.bench.distance PORT SECONDS` prints its own port and runs until killed.
"""

from __future__ import annotations

import asyncio
import selectors
import sys
from typing import cast


class _End(asyncio.Protocol):
    """One end of one connection; `other` gets its bytes later."""

    def __init__(self, delay: float, target: int | None = None) -> None:
        self._delay, self._target = delay, target
        self._loop = asyncio.get_running_loop()
        self._early: list[bytes] = []
        self.transport: asyncio.Transport | None = None
        self.other: _End | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        if self._target is not None:
            self._dialling = self._loop.create_task(self._dial(self._target))

    async def _dial(self, port: int) -> None:
        _, other = await self._loop.create_connection(lambda: _End(self._delay), "127.0.0.1", port)
        other.other, self.other = self, other
        for data in self._early:
            self.data_received(data)

    def data_received(self, data: bytes) -> None:
        if self.other is None:
            self._early.append(data)
        else:
            self._loop.call_later(self._delay, self.other.write, data)

    def write(self, data: bytes) -> None:
        if self.transport is not None and not self.transport.is_closing():
            self.transport.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.other is not None:
            self._loop.call_later(self._delay, self.other.hang_up)

    def hang_up(self) -> None:
        if self.transport is not None:
            self.transport.close()


async def main(target: int, round_trip: float) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _End(round_trip / 2, target), "127.0.0.1", 0)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


def _exact_loop() -> asyncio.AbstractEventLoop:
    """`epoll` waits whole milliseconds, rounded up: 20 would be 22."""
    return asyncio.SelectorEventLoop(selectors.SelectSelector())


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=_exact_loop) as runner:
        runner.run(main(int(sys.argv[1]), float(sys.argv[2])))
