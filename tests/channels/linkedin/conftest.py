"""A practice LinkedIn over real sockets, and an adapter connected to it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from channels.base import Account, Tools
from channels.http import HttpClient
from channels.linkedin.adapter import LinkedIn
from channels.linkedin.api import LinkedInSettings
from channels.linkedin.sandbox import LinkedInSandbox
from channels.sandbox.ledger import Ledger
from channels.sandbox.server import PracticeServer

NOW = datetime(2026, 11, 22, 18, 0, tzinfo=UTC)


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[PracticeServer]:
    ledger = Ledger(tmp_path / "ledger.db")
    sandboxes = {"linkedin": "channels.linkedin.sandbox"}
    async with PracticeServer(ledger, sandboxes=sandboxes) as running:
        yield running
    ledger.close()


@pytest.fixture
def platform(server: PracticeServer) -> LinkedInSandbox:
    platform = server.platforms["linkedin"]
    assert isinstance(platform, LinkedInSandbox)
    return platform


@pytest.fixture
async def http() -> AsyncIterator[HttpClient]:
    async with HttpClient(private_ok=True) as client:
        yield client


@pytest.fixture
def adapter(http: HttpClient) -> LinkedIn:
    return LinkedIn(Tools(http=http, now=lambda: datetime.now(UTC)))


@pytest.fixture
def account(server: PracticeServer) -> Account[Any]:
    (practice,) = server.accounts()
    return Account(id="page", name=practice.name, settings=LinkedInSettings(**practice.settings))
