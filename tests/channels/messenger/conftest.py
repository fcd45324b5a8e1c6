"""A practice Messenger over real sockets, and an adapter connected to it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from channels.base import Account, Tools
from channels.http import HttpClient
from channels.messenger.adapter import MessengerAdapter, MessengerSettings
from channels.messenger.sandbox import MessengerSandbox
from channels.sandbox.ledger import Ledger
from channels.sandbox.server import PracticeServer


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[PracticeServer]:
    ledger = Ledger(tmp_path / "ledger.db")
    sandboxes = {"messenger": "channels.messenger.sandbox"}
    async with PracticeServer(ledger, sandboxes=sandboxes) as running:
        yield running
    ledger.close()


@pytest.fixture
def platform(server: PracticeServer) -> MessengerSandbox:
    platform = server.platforms["messenger"]
    assert isinstance(platform, MessengerSandbox)
    return platform


@pytest.fixture
async def http() -> AsyncIterator[HttpClient]:
    async with HttpClient(private_ok=True) as client:
        yield client


@pytest.fixture
def adapter(http: HttpClient) -> MessengerAdapter:
    return MessengerAdapter(Tools(http=http, now=lambda: datetime.now(UTC)))


@pytest.fixture
def account(server: PracticeServer) -> Account[Any]:
    (practice,) = server.accounts()
    settings = MessengerSettings(**practice.settings)
    return Account(id="inbox", name=practice.name, settings=settings)
