"""Accounts connected by a login in the browser, through the practice platforms' own dialogs."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from aiohttp import ClientSession
from aiohttp.test_utils import TestClient, TestServer
from sqlalchemy import select

from channels.facebook.practice.graph import LE_PETIT_CAFE
from channels.facebook.sandbox import FacebookSandbox
from channels.linkedin.sandbox import ORGANIZATION, LinkedInSandbox
from channels.sandbox.faults import Fault, FaultName
from channels.sandbox.server import PracticeServer
from scheduler.logins import LASTS
from scheduler.services import Services, open_services
from scheduler.settings import Settings
from scheduler.store import accounts
from scheduler.store.platform_tables import logins
from scheduler.store.tokens import Scope
from scheduler.web.app import create_app
from tests.support.clocks import SetClock
from tests.web.conftest import Client, token
from tests.web.support import ask

THEIRS = "108811559930042"


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
async def services(
    database_url: str, tmp_path: Path, practice: PracticeServer, clock: SetClock
) -> AsyncIterator[Services]:
    """Services that know an application at the practice Facebook."""
    platform = practice.platforms["facebook"]
    assert isinstance(platform, FacebookSandbox)
    other = practice.platforms["linkedin"]
    assert isinstance(other, LinkedInSandbox)
    apps = {
        "facebook": dict(platform.practice_app(f"{practice.url}/facebook")),
        "linkedin": dict(other.practice_app(f"{practice.url}/linkedin")),
    }
    settings = Settings(
        data_dir=tmp_path,
        database_url=database_url,
        redis_url="none",
        private_addresses_ok=True,
        apps=json.dumps(apps),
    )
    async with open_services(settings, clock=clock) as services:
        yield services


@dataclass
class Browser:
    """Somebody at a browser of their own, without any token in its headers."""

    client: Client

    async def open(self, path: str, status: int = 200) -> str:
        answer = await self.client.get(path, allow_redirects=False)
        text = await answer.text()
        assert answer.status == status, text
        return answer.headers.get("Location", text)

    async def sign_in(self, secret: str) -> None:
        answer = await self.client.post("/login", data={"token": secret})
        assert answer.status == 200

    async def agree(self, url: str, answer: str = "yes", declined: str = "") -> str:
        """Say yes in the platform's dialog; our path that it sends the browser back to."""
        asked = parse_qs(urlsplit(url).query)["scope"][0].split(",")
        form = [("scope", scope) for scope in asked if scope != declined]
        form += [("page", LE_PETIT_CAFE.id), ("page", THEIRS), ("answer", answer)]
        async with ClientSession() as platform:
            back = await platform.post(url, data=form, allow_redirects=False)
        assert back.status == 302
        where = urlsplit(back.headers["Location"])
        assert where.path == "/connect/facebook/back"
        return f"{where.path}?{where.query}"

    async def choose(self, *pages: str, status: int = 200) -> str:
        form = [("page", page) for page in pages]
        answer = await self.client.post("/connect/facebook/accounts", data=form)
        text = await answer.text()
        assert answer.status == status, text
        return text


@pytest.fixture
async def browser(services: Services) -> AsyncIterator[Browser]:
    async with TestClient(TestServer(create_app(services))) as client:
        yield Browser(client)


async def rows(services: Services) -> Any:
    async with services.database.read() as connection:
        return await accounts.listed(connection)


async def test_a_signed_in_person_connects_the_page_they_may_publish_on(
    browser: Browser, services: Services
) -> None:
    await browser.sign_in(await token(services, Scope.ADMIN))
    listed = await browser.open("/connect")
    assert '"/connect/facebook">Log in: Facebook page<' in listed
    back = await browser.agree(await browser.open("/connect/facebook", status=303))
    page = await browser.open(back)
    assert "Le Petit Café" in page
    assert "CREATE_CONTENT" in page
    assert "Les Amis du Marché" in page
    assert "Let somebody who manages the page" in page
    assert LE_PETIT_CAFE.token not in page
    async with services.database.read() as connection:
        (held,) = (await connection.execute(select(logins))).mappings()
    assert LE_PETIT_CAFE.token.encode() not in held["candidates"]
    assert "Connected" in await browser.choose(LE_PETIT_CAFE.id)
    (account,) = await rows(services)
    assert (account["name"], account["status"]) == ("Le Petit Café", "healthy")
    (member,) = (await services.roster.everyone()).values()
    assert dict(member.account.settings)["page_id"] == LE_PETIT_CAFE.id


async def test_a_login_that_leads_nowhere_says_why_in_the_readers_language(
    browser: Browser, services: Services
) -> None:
    await browser.sign_in(await token(services, Scope.ADMIN))
    browser.client.session.headers["Accept-Language"] = "fr"
    url = await browser.open("/connect/facebook", status=303)
    page = await browser.open(await browser.agree(url, "no"), status=403)
    assert "la connexion n’est pas allée à son terme" in page
    assert "recommencez la connexion et donnez votre accord" in page
    url = await browser.open("/connect/facebook", status=303)
    back = await browser.agree(url, declined="pages_manage_posts")
    page = await browser.open(back, status=403)
    assert "non accordé\u00a0: pages_manage_posts" in page
    assert "Reconnectez-vous et laissez tout coché." in page


async def test_a_login_that_ends_tells_when_from_the_first_day(
    browser: Browser, services: Services
) -> None:
    await browser.sign_in(await token(services, Scope.ADMIN))
    asked = await browser.open("/connect/linkedin", status=303)
    async with ClientSession() as platform:
        back = await platform.post(asked, data={"answer": "yes"}, allow_redirects=False)
    where = urlsplit(back.headers["Location"])
    assert "ANALYST" in await browser.open(f"{where.path}?{where.query}")
    path = "/connect/linkedin/accounts"
    answer = await browser.client.post(path, data={"page": ORGANIZATION})
    assert answer.status == 200
    (account,) = await rows(services)
    assert account["name"] == "Atelier Rosa"
    assert account["expires_at"] > services.clock.micros() + 300 * 86_400_000_000


async def test_a_page_one_may_only_look_at_is_refused_with_the_remedy(
    browser: Browser, services: Services
) -> None:
    await browser.sign_in(await token(services, Scope.ADMIN))
    await browser.open(await browser.agree(await browser.open("/connect/facebook", status=303)))
    assert "MANAGE" in await browser.choose(THEIRS, status=422)
    assert await rows(services) == []


async def test_each_login_is_good_once(browser: Browser, services: Services) -> None:
    await browser.sign_in(await token(services, Scope.ADMIN))
    back = await browser.agree(await browser.open("/connect/facebook", status=303))
    await browser.open(back)
    await browser.open(back, status=403)
    await browser.choose(LE_PETIT_CAFE.id)
    await browser.choose(LE_PETIT_CAFE.id, status=403)
    assert len(await rows(services)) == 1


async def test_a_state_is_worth_nothing_in_another_browser(
    browser: Browser, services: Services
) -> None:
    await browser.sign_in(await token(services, Scope.ADMIN))
    back = await browser.agree(await browser.open("/connect/facebook", status=303))
    async with TestClient(TestServer(create_app(services))) as other:
        await Browser(other).open(back, status=403)
    forged = back.replace("state=", "state=x")
    await browser.open(forged, status=403)
    await browser.open(back)


async def test_a_login_has_its_time(browser: Browser, services: Services, clock: SetClock) -> None:
    await browser.sign_in(await token(services, Scope.ADMIN))
    back = await browser.agree(await browser.open("/connect/facebook", status=303))
    clock.set(clock.now() + timedelta(microseconds=LASTS + 1))
    await browser.open(back, status=403)


@pytest.mark.parametrize(
    ("dialog", "said"),
    [
        ({"answer": "no"}, "Permissions error"),
        ({"declined": "pages_manage_posts"}, "pages_manage_posts"),
    ],
)
async def test_who_does_not_agree_is_told_what_is_missing(
    browser: Browser, services: Services, dialog: dict[str, str], said: str
) -> None:
    await browser.sign_in(await token(services, Scope.ADMIN))
    back = await browser.agree(await browser.open("/connect/facebook", status=303), **dialog)
    assert said in await browser.open(back, status=403)
    await browser.choose(LE_PETIT_CAFE.id, status=403)
    assert await rows(services) == []


async def test_what_a_probe_refuses_is_not_saved(
    browser: Browser, services: Services, practice: PracticeServer
) -> None:
    await browser.sign_in(await token(services, Scope.ADMIN))
    await browser.open(await browser.agree(await browser.open("/connect/facebook", status=303)))
    practice.platforms["facebook"].faults.add(Fault(FaultName.PAGE_GONE))
    assert "Not connected" in await browser.choose(LE_PETIT_CAFE.id, status=422)
    assert await rows(services) == []


async def test_a_page_that_is_connected_already_is_connected_anew(
    browser: Browser, services: Services, client: Client, practice: PracticeServer
) -> None:
    held = next(one for one in practice.accounts() if one.adapter == "facebook").settings
    stale = {**held, "access_token": "stale"}
    body = {"adapter": "facebook", "name": "Our page", "settings": stale, "check": False}
    made = await ask(client, "POST", "/accounts", body, status=201)
    begun = await ask(client, "POST", "/logins", {"adapter": "facebook"}, status=201)
    assert begun["redirect_uri"].endswith("/connect/facebook/back")
    ticket = urlsplit(begun["url"])
    asked = await browser.open(f"{ticket.path}?{ticket.query}", status=303)
    await browser.open(f"{ticket.path}?{ticket.query}", status=403)
    await browser.open(await browser.agree(asked))
    await browser.choose(LE_PETIT_CAFE.id)
    (account,) = await rows(services)
    assert (account["id"], account["name"]) == (made["id"], "Our page")
    (member,) = (await services.roster.everyone()).values()
    kept = dict(member.account.settings)
    assert kept["access_token"].get_secret_value() == LE_PETIT_CAFE.token
    assert kept["www_url"] == held["www_url"]


async def test_a_login_needs_somebody_who_may_and_an_application(
    browser: Browser, services: Services, client: Client
) -> None:
    assert await browser.open("/connect/facebook", status=303) == "/login"
    assert await browser.open("/connect", status=303) == "/login"
    await browser.sign_in(await token(services, Scope.WRITE))
    await browser.open("/connect/facebook", status=403)
    problem = await ask(client, "POST", "/logins", {"adapter": "messenger"}, status=409)
    assert "app_id, app_secret" in problem["errors"][0]["remedy"]
    for adapter in ("blog", "pigeon"):
        await ask(client, "POST", "/logins", {"adapter": adapter}, status=404)


def test_applications_are_json_by_adapter() -> None:
    for bad in ("x", "[]", '{"facebook": "s3cret"}'):
        with pytest.raises(ValueError, match="apps must be") as refused:
            Settings(apps=bad)
        assert "s3cret" not in str(refused.value)
