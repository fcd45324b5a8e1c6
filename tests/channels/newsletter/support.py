"""A newsletter to test with: settings, posts, readers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from channels.base import Account, Recipient, Tools
from channels.http import HttpClient
from channels.newsletter.adapter import Newsletter
from channels.newsletter.sandbox import PracticeRelay
from channels.newsletter.settings import NewsletterSettings
from channels.posts import Post
from channels.sandbox.ledger import Ledger

NOW = datetime(2026, 11, 22, 17, 0, tzinfo=UTC)


def adapter() -> Newsletter:
    return Newsletter(Tools(http=HttpClient(private_ok=True), now=lambda: NOW))


def settings(**changes: Any) -> NewsletterSettings:
    fields: dict[str, Any] = {
        "from_address": "lettre@librairie.example.org",
        "from_name": "Librairie des Quais",
        "list_id": "lettre.librairie.example.org",
        "publisher": "Librairie des Quais\n12 quai des Brumes, 44000 Nantes",
        "relays": [{"host": "127.0.0.1", "port": 2525, "tls": "none"}],
    }
    return NewsletterSettings.model_validate({**fields, **changes})


def account(**changes: Any) -> Account[NewsletterSettings]:
    return Account(id="acc-1", name="La lettre", settings=settings(**changes))


def post(**changes: Any) -> Post:
    fields: dict[str, Any] = {
        "id": "post-1",
        "title": "Réouverture le 1er décembre",
        "body": "Bonjour {{name|chers amis}},\n\n**Nous rouvrons** à 9 h.\n\n.\n\nÀ bientôt !",
        "language": "fr",
        "blog_url": "https://librairie.example.org/blog/reouverture",
    }
    return Post(**{**fields, **changes})


def reader(address: str = "amelie@example.org", **changes: Any) -> Recipient:
    fields: dict[str, Any] = {
        "id": address,
        "address": address,
        "name": "Amélie",
        "unsubscribe_url": "https://librairie.example.org/u/abc123",
    }
    return Recipient(**{**fields, **changes})


@asynccontextmanager
async def practice() -> AsyncIterator[tuple[PracticeRelay, Account[NewsletterSettings]]]:
    """A practice relay on sockets of its own, and the account that uses it."""
    ledger = Ledger()
    relay = PracticeRelay(ledger)
    await relay.start("127.0.0.1")
    try:
        (connected,) = relay.accounts("http://127.0.0.1/newsletter")
        yield (
            relay,
            Account(
                id="acc-1",
                name=connected.name,
                settings=NewsletterSettings.model_validate(connected.settings),
            ),
        )
    finally:
        await relay.stop()
        ledger.close()
