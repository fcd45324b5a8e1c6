"""The practice inbox over HTTP, with a mail that tries to be more than a mail."""

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator

import aiohttp
import pytest

from channels.base import Account
from channels.newsletter.courier import MailCourier
from channels.newsletter.sandbox import PASSWORD, USERNAME
from channels.newsletter.settings import NewsletterSettings
from channels.outcome import Delivered
from channels.sandbox.ledger import Ledger
from channels.sandbox.server import PracticeServer

from .support import adapter, post, reader

NEWSLETTER_ONLY = {"newsletter": "channels.newsletter.sandbox"}


@pytest.fixture
async def server() -> AsyncIterator[PracticeServer]:
    ledger = Ledger()
    async with PracticeServer(ledger, sandboxes=NEWSLETTER_ONLY) as running:
        yield running
    ledger.close()


async def _send(server: PracticeServer, **changes: object) -> None:
    (connected,) = server.accounts()
    account = Account(
        id="a", name=connected.name, settings=NewsletterSettings.model_validate(connected.settings)
    )
    channel = adapter()
    courier = await channel.open(channel.render(post(**changes), account), account)
    assert isinstance(courier, MailCourier), courier
    assert isinstance(await courier.send(reader(), key="k"), Delivered)
    await courier.close()


async def _get(url: str) -> tuple[int, str, str]:
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        policy = response.headers.get("Content-Security-Policy", "")
        return response.status, await response.text(), policy


async def test_an_empty_inbox_says_so(server: PracticeServer) -> None:
    status, page, _ = await _get(f"{server.url}/newsletter/")
    assert status == 200
    assert "No mail yet" in page


async def test_a_mail_can_be_read_in_the_browser(server: PracticeServer) -> None:
    await _send(server, title="Une <b>grande</b> nouvelle")
    (mail,) = server.ledger.entries("newsletter")

    _, inbox, policy = await _get(f"{server.url}/newsletter/")
    assert f"/newsletter/mail/{mail.remote_id}" in inbox
    assert "Une &lt;b&gt;grande" in inbox
    assert "script-src" not in policy
    assert policy.startswith("default-src 'none'")

    _, shown, _ = await _get(f"{server.url}/newsletter/mail/{mail.remote_id}")
    assert '<iframe sandbox="allow-popups allow-popups-to-escape-sandbox"' in shown
    assert "Bonjour Amélie" in shown
    assert "List-Unsubscribe-Post" in shown

    _, html, policy = await _get(f"{server.url}/newsletter/mail/{mail.remote_id}/html")
    assert "Bonjour Amélie" in html
    assert policy.startswith("sandbox")
    assert "allow-scripts" not in policy

    _, source, _ = await _get(f"{server.url}/newsletter/mail/{mail.remote_id}/source")
    assert source.startswith("To: ")


async def test_an_unknown_mail_is_not_found(server: PracticeServer) -> None:
    for path in ("", "/html", "/source"):
        status, _, _ = await _get(f"{server.url}/newsletter/mail/nope{path}")
        assert status == 404


async def test_the_account_connects_with_what_is_listed(server: PracticeServer) -> None:
    (connected,) = server.accounts()
    settings = NewsletterSettings.model_validate(connected.settings)
    assert settings.relays[0].password.get_secret_value() == PASSWORD
    assert PASSWORD not in repr(settings)


LOGIN = "AUTH PLAIN " + b64encode(f"\0{USERNAME}\0{PASSWORD}".encode()).decode()
FROM, TO = "MAIL FROM:<a@example.org>", "RCPT TO:<b@example.org>"


@pytest.mark.parametrize(
    ("commands", "code"),
    [
        (["WALL"], 500),
        ([FROM], 530),
        (["AUTH PLAIN AGEAYg=="], 535),
        (["AUTH CRAM-MD5"], 504),
        ([LOGIN, "MAIL a@example.org"], 501),
        ([LOGIN, TO], 503),
        ([LOGIN, FROM, "DATA"], 503),
        ([LOGIN, f"{FROM} SIZE=99999999"], 552),
        ([LOGIN, f"{FROM} COLOUR=red"], 555),
        ([LOGIN, FROM, "RCPT TO:<unknown@example.org>"], 550),
        (["EHLO " + "x" * 600], 500),
        ([LOGIN, FROM, TO, "DATA", "x" * 1100 + "\r\n."], 500),
    ],
)
async def test_the_relay_refuses_what_a_relay_refuses(
    server: PracticeServer, commands: list[str], code: int
) -> None:
    (connected,) = server.accounts()
    (relay,) = connected.settings["relays"]
    read, write = await asyncio.open_connection(relay["host"], relay["port"])
    await _reply(read)
    said = 0
    for command in ["EHLO us.example.org", *commands]:
        write.write(f"{command}\r\n".encode())
        said = await _reply(read)
    write.close()
    assert said == code
    assert server.ledger.entries("newsletter") == []


async def test_a_relay_that_stops_hangs_up() -> None:
    async with PracticeServer(Ledger(), sandboxes=NEWSLETTER_ONLY) as server:
        (connected,) = server.accounts()
        (relay,) = connected.settings["relays"]
        read, write = await asyncio.open_connection(relay["host"], relay["port"])
        await _reply(read)
    async with asyncio.timeout(30):
        assert await read.read() == b""
    write.close()
    server.ledger.close()


async def _reply(read: asyncio.StreamReader) -> int:
    while True:
        line = await read.readline()
        if line[3:4] != b"-":
            return int(line[:3])
