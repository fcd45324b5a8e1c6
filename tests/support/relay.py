"""A fast relay that counts: who got how many mails, and who was refused for now."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from random import Random
from time import monotonic
from typing import cast

_MESSAGE_ID = re.compile(rb"^Message-ID: (\S+)", re.MULTILINE)


class CountingRelay:
    """Speaks SMTP with PIPELINING. A share `refuse` of all RCPT gets a 4xx, and each at a domain
    in `slow` a 450. A mail counts when its final dot was read, before it is answered; `last_at`:
    when the last one did (monotonic); `came`: set at each. After `silent_after` mails none is
    answered any more, nor what follows it. With `keep_ids`, `message_ids` says under which each
    recipient got theirs. Each answer takes `slow_by` seconds."""

    def __init__(
        self, *, refuse: float = 0.0, seed: int = 1, keep_ids: bool = False, slow_by: float = 0.0
    ) -> None:
        self.received: Counter[str] = Counter()
        self.refuse = refuse
        self.slow: set[str] = set()
        self.rng = Random(seed)
        self.port = 0
        self.last_at = 0.0
        self.came = asyncio.Event()
        self.silent_after: int | None = None
        self.keep_ids = keep_ids
        self.slow_by = slow_by
        self.message_ids: dict[str, list[str]] = {}
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Transport] = set()

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Session(self), "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def until(self, count: int) -> None:
        """Wait until so many mails came in all."""
        while self.received.total() < count:
            self.came.clear()
            await self.came.wait()

    async def stop(self) -> None:
        """Whoever is connected is hung up on."""
        if self._server is not None:
            self._server.close()
        for transport in self._open:
            transport.close()
        await asyncio.sleep(0)


class _Session(asyncio.Protocol):
    def __init__(self, relay: CountingRelay) -> None:
        self._relay = relay
        self._transport: asyncio.Transport | None = None
        self._data = b""
        self._recipient = ""
        self._in_body = self._silent = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._relay._open.add(self._transport)
        self._transport.write(b"220 counting\r\n")

    def connection_lost(self, exc: Exception | None) -> None:
        assert self._transport is not None
        self._relay._open.discard(self._transport)

    def data_received(self, data: bytes) -> None:
        self._data += data
        answers = []
        while True:
            end = b"\r\n.\r\n" if self._in_body else b"\r\n"
            head, found, rest = self._data.partition(end)
            if not found:
                break
            self._data = rest
            answers.append(self._body(head) if self._in_body else self._command(head.decode()))
        assert self._transport is not None
        if self._silent:
            return
        said = "".join(answers).encode()
        if self._relay.slow_by:
            asyncio.get_running_loop().call_later(self._relay.slow_by, self._transport.write, said)
        else:
            self._transport.write(said)

    def _body(self, mail: bytes) -> str:
        self._in_body = False
        if self._relay.keep_ids and (found := _MESSAGE_ID.search(mail)) is not None:
            ids = self._relay.message_ids.setdefault(self._recipient, [])
            ids.append(found[1].decode())
        self._relay.received[self._recipient] += 1
        self._relay.last_at = monotonic()
        self._relay.came.set()
        silent_after = self._relay.silent_after
        if silent_after is not None and self._relay.received.total() > silent_after:
            self._silent = True  # for good: an answer to what comes next would pass for this one's
        return "250 2.0.0 kept\r\n"

    def _command(self, line: str) -> str:
        verb = line[:4].upper()
        if verb == "RCPT":
            return self._rcpt(line)
        if verb == "DATA" and self._recipient:
            self._in_body = True
        elif verb not in {"EHLO", "QUIT"}:
            self._recipient = ""
        return self._answer(verb)

    def _answer(self, verb: str) -> str:
        match verb:
            case "EHLO":
                return "250-counting\r\n250 PIPELINING\r\n"
            case "DATA":
                return "354 go on\r\n" if self._in_body else "503 5.5.1 no recipient\r\n"
            case "QUIT":
                return "221 2.0.0 bye\r\n"
            case _:
                return "250 2.0.0 OK\r\n"

    def _rcpt(self, line: str) -> str:
        if line.partition("@")[2].partition(">")[0] in self._relay.slow:
            self._recipient = ""
            return "450 4.2.1 too fast for us\r\n"
        if self._relay.rng.random() < self._relay.refuse:
            self._recipient = ""
            return "451 4.3.0 not now\r\n"
        self._recipient = line.partition("<")[2].partition(">")[0]
        return "250 2.1.5 OK\r\n"
