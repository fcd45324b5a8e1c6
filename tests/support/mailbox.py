"""A small IMAP server on loopback: one folder of mails whose UIDs a test decides, and what was done
to them. Dovecot stands in the tests against other people's servers."""

from __future__ import annotations

import asyncio
import re
from base64 import b64decode
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Self

_LINE = re.compile(r"(?P<tag>\S+) (?P<rest>.*)\r\n", re.DOTALL)


@dataclass(slots=True)
class PracticeMailbox:
    """`mails`: by UID, in INBOX; `moved`: by folder, the UIDs that went there. `mechanisms`: logins
    (SASL) by `access_token`, each told in `authenticated`. `before`: called with each command
    before it is carried out; ConnectionError cuts the connection. `port`: any, unless given."""

    mails: dict[int, bytes] = field(default_factory=dict)
    validity: int = 1
    password: str = "secret"
    folders: set[str] = field(default_factory=lambda: {"INBOX"})
    seen: set[int] = field(default_factory=set)
    moved: dict[str, set[int]] = field(default_factory=dict)
    before: Callable[[str], None] = lambda _: None
    logins: int = 0
    mechanisms: tuple[str, ...] = ()
    access_token: str = ""
    authenticated: list[tuple[str, str]] = field(default_factory=list)
    port: int = 0
    _server: asyncio.Server | None = None
    _open: set[asyncio.Task[None]] = field(default_factory=set)

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.close()
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    def arrive(self, mail: bytes) -> int:
        """A new mail; its UID."""
        uid = max(self.mails, default=0) + 1
        self.mails[uid] = mail
        return uid

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            with suppress(ConnectionError, asyncio.CancelledError):
                await self._talk(reader, writer)
        finally:
            self._open.discard(task)
            writer.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"* OK [CAPABILITY IMAP4rev1 MOVE UIDPLUS] ready\r\n")
        while line := (await reader.readline()).decode():
            found = _LINE.fullmatch(line)
            assert found is not None, line
            tag, rest = found["tag"], found["rest"]
            try:
                self.before(rest)
            except ConnectionError:
                writer.transport.abort()
                return
            if rest.startswith("AUTHENTICATE "):
                writer.write(b"+ \r\n")
                said = b64decode(await reader.readline()).decode()
                untagged, end = list[bytes](), self._authenticated(rest.split()[1], said)
            else:
                untagged, end = self._answer(rest)
            writer.write(b"".join(b"* " + one + b"\r\n" for one in untagged))
            writer.write(f"{tag} {end}\r\n".encode())
            await writer.drain()
            if rest == "LOGOUT":
                return

    def _answer(self, command: str) -> tuple[list[bytes], str]:
        verb, _, rest = command.partition(" ")
        if verb == "UID":
            verb, _, rest = rest.partition(" ")
            return self._by_uid(verb, rest)
        match verb:
            case "CAPABILITY":
                able = " ".join(f"AUTH={name}" for name in self.mechanisms)
                return [f"CAPABILITY IMAP4rev1 MOVE UIDPLUS {able}".strip().encode()], "OK done"
            case "LOGIN":
                self.logins += 1
                well = rest.endswith(f'"{self.password}"')
                return [], "OK in" if well else "NO [AUTHENTICATIONFAILED] wrong"
            case "LOGOUT":
                return [b"BYE"], "OK out"
            case _:
                return self._on_folder(verb, rest.rpartition(" ")[2].strip('"'))

    def _authenticated(self, mechanism: str, said: str) -> str:
        self.logins += 1
        self.authenticated.append((mechanism, said))
        fields = said.split("\x01")
        well = f"auth=Bearer {self.access_token}" in fields and mechanism in self.mechanisms
        return "OK in" if well else "NO [AUTHENTICATIONFAILED] wrong token"

    def _on_folder(self, verb: str, name: str) -> tuple[list[bytes], str]:
        match verb:
            case "SELECT" | "EXAMINE":
                return self._select(name)
            case "LIST":
                found = [b'LIST () "/" "' + name.encode() + b'"'] if name in self.folders else []
                return found, "OK listed"
            case "CREATE":
                self.folders.add(name)
                return [], "OK made"
            case _:
                return [], f"BAD {verb} is not known"

    def _select(self, folder: str) -> tuple[list[bytes], str]:
        if folder not in self.folders:
            return [], "NO no such folder"
        said = [f"{len(self.mails)} EXISTS", f"OK [UIDVALIDITY {self.validity}] valid"]
        return [one.encode() for one in said], "OK [READ-WRITE] selected"

    def _by_uid(self, verb: str, rest: str) -> tuple[list[bytes], str]:
        if verb == "SEARCH":
            first = int(rest.rsplit(maxsplit=1)[-1].partition(":")[0])
            last = max(self.mails, default=0)
            found = sorted(uid for uid in self.mails if uid >= first or uid == last)
            return [" ".join(["SEARCH", *map(str, found)]).encode()], "OK found"
        uids = self._named(rest.split(maxsplit=1)[0])
        if verb == "FETCH":
            return [self._fetched(uid) for uid in uids], "OK fetched"
        if verb == "STORE":
            self.seen.update(uids)
            return [], "OK stored"
        if verb == "MOVE":
            folder = rest.split()[1].strip('"')
            self.moved.setdefault(folder, set()).update(uids)
            for uid in uids:
                del self.mails[uid]
            return [], "OK moved"
        return [], f"BAD UID {verb} is not known"

    def _fetched(self, uid: int) -> bytes:
        mail = self.mails[uid]
        head = f"{uid} FETCH (UID {uid} BODY[]<0> {{{len(mail)}}}\r\n"
        return head.encode() + mail + b")"

    def _named(self, text: str) -> list[int]:
        named: set[int] = set()
        for part in text.split(","):
            first, _, last = part.partition(":")
            named.update(range(int(first), int(last or first) + 1))
        return sorted(named & self.mails.keys())
