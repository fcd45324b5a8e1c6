"""A connection is looked at before it is saved, on the practice platforms."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from channels.sandbox.faults import Fault, FaultName
from channels.sandbox.server import PracticeServer
from scheduler.services import Services, open_services
from scheduler.settings import Settings
from tests.web.conftest import Client
from tests.web.support import ask


@pytest.fixture
async def services(database_url: str, tmp_path: Path) -> AsyncIterator[Services]:
    """Services that may reach the practice platforms."""
    settings = Settings(
        data_dir=tmp_path, database_url=database_url, redis_url="none", private_addresses_ok=True
    )
    async with open_services(settings) as services:
        yield services


def wanted(practice: PracticeServer, adapter: str, **settings: Any) -> dict[str, Any]:
    """What connecting the practice account of this adapter takes."""
    account = next(one for one in practice.accounts() if one.adapter == adapter)
    return {
        "adapter": adapter,
        "name": account.name,
        "settings": {**account.settings, **settings},
    }


async def test_every_practice_account_is_found_well_and_saved(
    client: Client, practice: PracticeServer
) -> None:
    for account in practice.accounts():
        body = wanted(practice, account.adapter)
        made = await ask(client, "POST", "/accounts", body, status=201)
        assert made["status"] == "healthy"
    connected = (await ask(client, "GET", "/accounts"))["accounts"]
    assert len(connected) == len(practice.accounts())


@pytest.mark.parametrize("adapter", ["facebook", "linkedin", "messenger", "bluesky"])
async def test_a_page_is_connected_once(
    client: Client, practice: PracticeServer, adapter: str
) -> None:
    """A second account of it would publish everything there twice."""
    body = wanted(practice, adapter)
    made = await ask(client, "POST", "/accounts", body, status=201)
    again = {**body, "name": "The same page", "check": False}
    problem = await ask(client, "POST", "/accounts", again, status=409)
    (error,) = problem["errors"]
    assert body["name"] in error["detail"]
    assert made["id"] in error["remedy"]
    renewed = {"name": "Renamed", "settings": body["settings"]}
    assert (await ask(client, "PUT", f"/accounts/{made['id']}", renewed))["name"] == "Renamed"
    assert len((await ask(client, "GET", "/accounts"))["accounts"]) == 1
    await client.delete(f"/api/v1/accounts/{made['id']}")
    await ask(client, "POST", "/accounts", body, status=201)


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        (FaultName.TOKEN_DEAD, 422),
        (FaultName.PERMISSION_LOST, 422),
        (FaultName.ROLE_LOST, 422),
        (FaultName.PAGE_GONE, 422),
        (FaultName.SERVER_ERROR, 503),
    ],
)
async def test_what_would_not_work_is_refused_with_its_remedy(
    client: Client, practice: PracticeServer, fault: FaultName, status: int
) -> None:
    practice.platforms["facebook"].faults.add(Fault(fault))
    body = wanted(practice, "facebook")
    problem = await ask(client, "POST", "/accounts", body, status=status)
    (error,) = problem["errors"]
    assert error["field"] == "settings"
    assert error["remedy"]
    assert body["settings"]["access_token"] not in str(problem)
    assert (await ask(client, "GET", "/accounts"))["accounts"] == []
    french = await client.post("/api/v1/accounts", json=body, headers={"Accept-Language": "fr"})
    if status == 422:
        (said,) = (await french.json())["errors"]
        assert said["remedy"] not in {"", error["remedy"]}
    unseen = await ask(client, "POST", "/accounts", {**body, "check": False}, status=201)
    renewed = {"name": "New name", "settings": body["settings"]}
    await ask(client, "PUT", f"/accounts/{unseen['id']}", renewed, status=status)
    assert (await ask(client, "GET", f"/accounts/{unseen['id']}"))["name"] != "New name"


@pytest.mark.parametrize(
    ("adapter", "wrong"),
    [
        ("blog.wordpress", {"application_password": "aaaa bbbb cccc dddd eeee ffff"}),
        ("mastodon", {"access_token": "guessed"}),
        ("bluesky", {"app_password": "aaaa-bbbb-cccc-dddd"}),
    ],
)
async def test_a_wrong_password_is_refused_and_not_repeated(
    client: Client, practice: PracticeServer, adapter: str, wrong: dict[str, str]
) -> None:
    body = wanted(practice, adapter, **wrong)
    problem = await ask(client, "POST", "/accounts", body, status=422)
    assert problem["errors"][0]["remedy"]
    assert next(iter(wrong.values())) not in str(problem)
    assert (await ask(client, "GET", "/accounts"))["accounts"] == []
