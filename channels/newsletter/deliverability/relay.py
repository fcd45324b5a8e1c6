"""How a relay greets, and whether its TLS holds: no login, no mail."""

from __future__ import annotations

import ssl
from dataclasses import dataclass

import aiosmtplib

from channels.newsletter.relay import tls_context
from channels.newsletter.settings import Relay

PATIENCE = 10.0


@dataclass(slots=True)
class Greeting:
    """`name`: how the server calls itself. `silent`, `untrusted`: why it could not be spoken to,
    why its certificate does not hold; empty when it could, when it does."""

    name: str = ""
    offers_tls: bool = False
    tls: str = ""
    silent: str = ""
    untrusted: str = ""


async def greet(relay: Relay, our_name: str) -> Greeting:
    """Connect, say hello, and begin TLS where it is offered."""
    found = Greeting()
    context = tls_context(relay.ca_file)
    client = aiosmtplib.SMTP(
        hostname=relay.host, port=relay.port, use_tls=relay.tls == "tls", start_tls=False,
        tls_context=context if relay.tls == "tls" else None, local_hostname=our_name,
        timeout=PATIENCE,
    )  # fmt: skip
    try:
        banner = await client.connect()
        found.name = banner.message.split(" ", 1)[0].strip().lower()
        await client.ehlo()
        found.offers_tls = relay.tls == "tls" or client.supports_extension("starttls")
        if found.offers_tls and relay.tls != "tls":
            await client.starttls(tls_context=context)
        found.tls = _version(client)
    except (aiosmtplib.SMTPException, OSError, ssl.SSLError) as error:
        certificate = _certificate_fault(error)
        if certificate:
            found.offers_tls, found.untrusted = True, certificate
        else:
            found.silent = " ".join(str(error).split())[:200] or type(error).__name__
    finally:
        client.close()
    return found


def _version(client: aiosmtplib.SMTP) -> str:
    session = client.get_transport_info("ssl_object")
    return str(session.version()) if isinstance(session, ssl.SSLObject) else ""


def _certificate_fault(error: BaseException | None) -> str:
    """The certificate's fault among what an error comes from."""
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return str(error.verify_message)
        error = error.__cause__ or error.__context__
    return ""
