"""The deliverability check by the API and as a page, with a real name server and a real relay."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp.test_utils import TestClient, TestServer

from scheduler.services import Services, open_services
from scheduler.settings import Settings
from scheduler.store import tokens
from scheduler.store.tokens import Scope
from scheduler.web.app import create_app
from tests.channels.newsletter.support import practice
from tests.support.dns import NameServer, text
from tests.web.conftest import Client
from tests.web.support import ask, connect

DOMAIN = "librairie.example.org"


@pytest.fixture
async def names() -> AsyncIterator[NameServer]:
    async with NameServer({(DOMAIN, "TXT"): [text("v=spf1 ip4:127.0.0.1 -all")]}) as server:
        yield server


@pytest.fixture
async def services(database_url: str, tmp_path: Path, names: NameServer) -> AsyncIterator[Services]:
    settings = Settings(
        data_dir=tmp_path, database_url=database_url, redis_url="none", dns_server=names.address,
    )  # fmt: skip
    async with open_services(settings) as services:
        yield services


@pytest.fixture
async def letter(services: Services) -> AsyncIterator[str]:
    """The id of a newsletter that the practice relay carries."""
    async with practice() as (_, there):
        relays = [relay.model_dump() for relay in there.settings.relays]
        for relay in relays:
            relay["password"] = relay["password"].get_secret_value()
        yield await connect(
            services, "La lettre", "newsletter", from_address=f"lettre@{DOMAIN}",
            publisher="Librairie des Quais", relays=relays,
        )  # fmt: skip


async def test_the_key_is_made_published_and_put_to_use(
    client: Client, names: NameServer, letter: str, services: Services
) -> None:
    path = f"/accounts/{letter}/dkim"
    made = await ask(client, "POST", path, {"selector": "s1"})
    assert made["active"] is False
    assert made["record"]["name"] == f"s1._domainkey.{DOMAIN}"
    again = await ask(client, "POST", path, {"selector": "s2"})
    assert again == made, "one key: a second one would make the first worthless"
    shown = await ask(client, "GET", f"/accounts/{letter}")
    assert "BEGIN" not in str(shown)
    assert shown["settings"]["dkim"]["sign"] is False

    names.zone[made["record"]["name"], "TXT"] = [text(made["record"]["value"])]
    used = await ask(client, "POST", path, {})
    assert used == {**made, "active": True}
    member = (await services.roster.everyone())[letter]
    settings = dict(member.account.settings)
    assert settings["dkim"].sign
    assert settings["relays"][0].password.get_secret_value(), "other credentials are kept"
    found = await ask(client, "GET", f"/accounts/{letter}/deliverability")
    codes = {one["code"] for one in found["advice"]}
    assert {"dkim-ok", "spf-ok", "dmarc-missing", "one-click-missing"} <= codes


async def test_findings_come_with_the_record_to_copy_in_the_language_asked_for(
    client: Client, letter: str
) -> None:
    found = await ask(client, "GET", f"/accounts/{letter}/deliverability?language=fr")
    (missing,) = [one for one in found["advice"] if one["code"] == "dmarc-missing"]
    assert (missing["area"], missing["grade"]) == ("dmarc", "error")
    assert missing["remedy"] == "publiez l’enregistrement"
    assert missing["record"]["name"] == f"_dmarc.{DOMAIN}"
    assert missing["record"]["value"].startswith("v=DMARC1; p=none")


async def test_what_cannot_be_looked_at_says_so(client: Client, blog: str) -> None:
    await ask(client, "GET", f"/accounts/{blog}/deliverability", status=409)
    await ask(client, "POST", f"/accounts/{blog}/dkim", {}, status=409)
    await ask(client, "GET", "/accounts/nobody/deliverability", status=404)


async def test_a_selector_that_is_no_label_is_refused(client: Client, letter: str) -> None:
    said = await ask(client, "POST", f"/accounts/{letter}/dkim", {"selector": "a.b"}, status=422)
    assert said["errors"][0]["field"] == "selector"


async def test_dns_that_is_silent_leaves_the_key_as_it_is(
    client: Client, letter: str, names: NameServer
) -> None:
    made = await ask(client, "POST", f"/accounts/{letter}/dkim", {})
    names.silent = {made["record"]["name"]}
    await ask(client, "POST", f"/accounts/{letter}/dkim", {}, status=503)


@pytest.mark.parametrize(("language", "says"), [("en", "to mend"), ("fr", "à corriger")])
async def test_the_page_shows_everything_to_whoever_signed_in(
    services: Services, letter: str, language: str, says: str
) -> None:
    async with services.database.write() as connection:
        made = await tokens.create(
            connection, name="reader", scopes=[Scope.READ], now=services.clock.micros()
        )
    async with TestClient(TestServer(create_app(services))) as browser:
        path = f"/deliverability/{letter}"
        away = await browser.get(path, allow_redirects=False)
        assert (away.status, away.headers["Location"]) == (303, "/login")
        await browser.post("/login", data={"token": made.secret})
        headers = {"Accept-Language": language}
        answer = await browser.get(path, headers=headers)
        page = await answer.text()
        assert answer.status == 200
        assert "La lettre" in page
        errors = page.count('<small class="failed">')
        assert f"<p>{errors} {says}. " in page
        assert "v=DMARC1; p=none" in page
        overview = await (await browser.get("/", headers=headers)).text()
        assert path in overview
        assert (await browser.get("/deliverability/nobody", headers=headers)).status == 404
