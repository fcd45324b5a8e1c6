"""The practice inbox over HTTP, with a mail that tries to be more than a mail."""

from collections.abc import AsyncIterator

import aiohttp
import pytest

from channels.base import Account
from channels.newsletter.courier import MailCourier
from channels.newsletter.sandbox import PASSWORD
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
