"""The whole API over real HTTP, on each database."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from scheduler.services import Services, open_services
from scheduler.settings import Settings
from scheduler.store import accounts, tokens
from scheduler.store.tokens import Scope
from scheduler.web.app import create_app

Client = TestClient[Any, Any]


@pytest.fixture
async def services(database_url: str, tmp_path: Path) -> AsyncIterator[Services]:
    """Services on a fresh database, with one blog connected."""
    settings = Settings(
        data_dir=tmp_path, database_url=database_url, redis_url="none", zone="Europe/Paris",
        worker_dead_after=300,  # one that a test had heard is alive on a slow machine, too
    )  # fmt: skip
    async with open_services(settings) as services:
        yield services


@pytest.fixture
async def blog(services: Services) -> str:
    """The id of a connected blog."""
    channel = services.registry["blog"]
    async with services.database.write() as connection:
        return await accounts.connect(
            connection,
            services.vault,
            channel=channel,
            name="Our site",
            settings=channel.settings_type.model_validate({"base_url": "https://site.example"}),
            now=services.clock.micros(),
        )


async def token(services: Services, *scopes: Scope) -> str:
    """A new token's secret."""
    async with services.database.write() as connection:
        made = await tokens.create(
            connection, name="tests", scopes=scopes, now=services.clock.micros()
        )
    return made.secret


@pytest.fixture
async def client(services: Services) -> AsyncIterator[Client]:
    """Speaks to the API with a token that may do everything."""
    headers = {"Authorization": f"Bearer {await token(services, Scope.ADMIN)}"}
    async with TestClient(TestServer(create_app(services)), headers=headers) as client:
        yield client
