"""The practice mail relay: takes every mail, delivers none, and shows them in a browser.

aiosmtpd speaks SMTP; faults answer in SMTP's own words. Mails are kept in the ledger before the
final 250, under the account that logged in, with the Message-ID as key.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Sequence
from contextlib import suppress
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any, ClassVar, cast
from weakref import WeakSet

from aiohttp import web
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from channels.local import local_host
from channels.newsletter.inbox import inbox_app
from channels.sandbox.faults import FaultName, Faults
from channels.sandbox.ledger import Ledger
from channels.sandbox.server import PracticeAccount, Sandbox

USERNAME = "lettre"
PASSWORD = "practice"  # noqa: S105 -- opens the practice relay only
# Tried first, so that accounts connected on one day still work the next.
PREFERRED_PORT = 2525
MAX_MAIL = 25 * 1024 * 1024

_AT_SENDER = {
    FaultName.PERMISSION_LOST: "553 5.1.8 Sender address rejected: not owned by user",
    FaultName.ROLE_LOST: "550 5.7.26 Unauthenticated mail: SPF and DKIM did not pass",
    FaultName.UNPUBLISHED: "553 5.1.8 Sender address is not verified any more",
    FaultName.THROTTLED: "421 4.7.28 Too many mails from your address, slow down",
}
_AT_BODY = {
    FaultName.SERVER_ERROR: "451 4.3.0 Temporary system problem, try again later",
    FaultName.REJECTED: "554 5.7.1 Message refused by policy",
}
# Readers called like this behave like it, for trying out.
_READERS = {
    "unknown": "550 5.1.1 The mail account that you tried to reach does not exist",
    "full": "452 4.2.2 The mailbox is over its quota",
    "grey": "451 4.7.1 Greylisted, come back in five minutes",
}


_SUBSCRIBERS = (
    {"address": "camille@example.org", "name": "Camille Roux", "language": "fr"},
    {"address": "john@example.org", "name": "John Carter", "language": "en"},
    {"address": "lea@example.org", "name": "Léa Martin", "language": "fr"},
)


class _Handler:
    """aiosmtpd's hooks: what the relay says, and the ledger."""

    def __init__(self, ledger: Ledger, faults: Faults) -> None:
        self._ledger = ledger
        self._faults = faults

    async def handle_EHLO(  # noqa: N802 -- aiosmtpd's name
        self,
        server: SMTP,
        session: Session,
        envelope: Envelope,
        hostname: str,
        responses: list[str],
    ) -> list[str]:
        del server, envelope
        session.host_name = hostname
        if self._faults.holds(FaultName.PAGE_GONE) is not None:
            return ["554 5.3.2 No mail service here any more"]
        return [*responses[:-1], "250-PIPELINING", "250-ENHANCEDSTATUSCODES", responses[-1]]

    def authenticate(
        self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any
    ) -> AuthResult:
        del server, session, envelope, mechanism
        if not isinstance(data, LoginPassword):
            return AuthResult(success=False, handled=False)
        name = data.login.decode("utf-8", "replace")
        dead = self._faults.holds(FaultName.TOKEN_DEAD, name) is not None
        known = name == USERNAME and data.password == PASSWORD.encode()
        return AuthResult(success=known and not dead, handled=False, auth_data=name)

    async def handle_MAIL(  # noqa: N802 -- aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        del server
        if not session.authenticated:
            return "530 5.7.0 Authentication required"
        for name, answer in _AT_SENDER.items():
            if self._faults.strike(name, _account(session)) is not None:
                return answer
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 2.1.0 OK"

    async def handle_RCPT(  # noqa: N802 -- aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        del server, session
        refusal = _READERS.get(address.partition("@")[0])
        if refusal is not None:
            return refusal
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 2.1.5 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 -- aiosmtpd's name
        account = _account(session)
        slow = self._faults.strike(FaultName.SLOW, account)
        if slow is not None:
            await asyncio.sleep(slow.seconds)
        if self._faults.strike(FaultName.HANG, account) is not None:
            await asyncio.sleep(3600)
        for name, answer in _AT_BODY.items():
            if self._faults.strike(name, account) is not None:
                return answer
        number = self._keep(account, envelope)
        if self._faults.strike(FaultName.ANSWER_LOST, account) is not None:
            # uvloop's transports are asyncio's in all but their base class.
            cast(asyncio.Transport, server.transport).abort()
            return "421 4.4.2 Connection lost"
        if self._faults.strike(FaultName.MALFORMED, account) is not None:
            return "<html> not what you asked"
        return f"250 2.0.0 OK queued as {number}"

    def _keep(self, account: str, envelope: Envelope) -> str:
        raw = bytes(envelope.original_content or b"")
        mail = message_from_bytes(raw, policy=policy.default)
        assert isinstance(mail, EmailMessage)
        number = secrets.token_hex(8)
        plain = mail.get_body(("plain",))
        text = plain.get_content() if plain is not None else ""
        self._ledger.write(
            "newsletter",
            account,
            kind="mail",
            remote_id=number,
            key=str(mail["Message-ID"] or ""),
            text=f"{mail['Subject']}\n\n{text}",
            payload={
                "sender": envelope.mail_from,
                "recipients": list(envelope.rcpt_tos),
                "recipient": envelope.rcpt_tos[0],
                "source": raw.decode("utf-8", "surrogateescape"),
            },
        )
        return number


def _account(session: Session) -> str:
    data: Any = session.auth_data
    return str(data or "")


class PracticeRelay(Sandbox):
    """An SMTP server with AUTH and PIPELINING, and the inbox of everyone it was given mail for."""

    name: ClassVar[str] = "newsletter"

    def __init__(self, ledger: Ledger) -> None:
        super().__init__(ledger)
        self._server: asyncio.Server | None = None
        self._sessions: WeakSet[SMTP] = WeakSet()
        self._handler = _Handler(ledger, self.faults)
        self.host = ""
        self.port = 0

    async def start(self, host: str) -> None:
        # aiosmtpd warns about a deprecated attribute that only it itself sets, at each login.
        logging.getLogger("mail.log").setLevel(logging.ERROR)
        self.host = host
        with suppress(OSError):
            self._server = await self._listen(PREFERRED_PORT)
        if self._server is None:
            self._server = await self._listen(0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _listen(self, port: int) -> asyncio.Server:
        loop = asyncio.get_running_loop()

        def session() -> SMTP:
            new = SMTP(
                self._handler,
                hostname="practice.relay",
                ident="Practice relay",
                data_size_limit=MAX_MAIL,
                auth_require_tls=False,
                authenticator=self._handler.authenticate,
                loop=loop,
            )
            self._sessions.add(new)
            return new

        return await loop.create_server(session, self.host, port)

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for session in self._sessions:
            if session.transport is not None:
                session.transport.close()

    def app(self) -> web.Application:
        return inbox_app(self.ledger, self.name)

    def accounts(self, base_url: str) -> Sequence[PracticeAccount]:
        del base_url
        return [
            PracticeAccount(
                adapter="newsletter",
                name="La lettre de la librairie",
                settings={
                    "from_address": "lettre@librairie.example.org",
                    "from_name": "Librairie des Quais",
                    "reply_to": "bonjour@librairie.example.org",
                    "list_id": "lettre.librairie.example.org",
                    "publisher": "Librairie des Quais, SARL\n12 quai des Brumes, 44000 Nantes",
                    "relays": [
                        {
                            "host": local_host(self.host),
                            "port": self.port,
                            "tls": "none",
                            "username": USERNAME,
                            "password": PASSWORD,
                        }
                    ],
                },
                contacts=_SUBSCRIBERS,
            )
        ]


SANDBOX = PracticeRelay
