"""A newsletter before it goes out: shown as one reader gets it, and sent as a test."""

from __future__ import annotations

import re
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer
from sqlalchemy import func, insert, select

from scheduler.audience.suppression import fingerprint
from scheduler.services import Services
from scheduler.store.audience_tables import contacts, recipients, suppressions
from scheduler.store.tables import attempts, deliveries
from scheduler.store.tokens import Scope
from scheduler.web.app import create_app
from scheduler.web.public import key_of
from tests.channels.newsletter.support import practice
from tests.support.relay import CountingRelay
from tests.web.conftest import Client, token
from tests.web.support import ask, connect

WORDS = {"title": "Réouverture", "body": "Bonjour {{name|chers amis}} de **{{ville|chez nous}}** !"}
SETTINGS: dict[str, Any] = {
    "from_address": "lettre@librairie.example.org",
    "from_name": "Librairie",
    "publisher": "12 quai des Brumes, Nantes",
    "relays": [{"host": "127.0.0.1", "port": 9, "tls": "none"}],
}


async def _newsletter(services: Services, **changes: Any) -> str:
    return await connect(services, "La lettre", "newsletter", **{**SETTINGS, **changes})


async def _contact(client: Client) -> str:
    body = {"email": "zoe@x.org", "name": "Zoé <b>", "attributes": {"ville": "Nîmes & Uzès"}}
    made = await ask(client, "POST", "/contacts", body, status=201)
    return str(made["contact"]["id"])


async def test_a_draft_is_shown_as_one_reader_gets_it(client: Client, services: Services) -> None:
    account_id = await _newsletter(services)
    contact_id = await _contact(client)
    body = {"post": WORDS, "account": account_id, "contact": contact_id}
    shown = await ask(client, "POST", "/posts/preview/mail", body)
    assert (shown["subject"], shown["account"]) == ("Réouverture", "La lettre")
    assert "Bonjour Zoé <b> de" in shown["text"]
    assert "Zoé &lt;b&gt; de" in shown["html"]
    assert "Nîmes &amp; Uzès</strong>" in shown["html"]
    assert "zoe@x.org" in shown["recipient"]
    assert shown["size"] > len(shown["html"])
    nobody = await ask(client, "POST", "/posts/preview/mail", {"post": WORDS})
    assert "Bonjour chers amis de" in nobody["text"]
    assert "{{" not in nobody["html"]


async def test_a_stored_post_is_shown_too_and_what_is_wrong_is_said(
    client: Client, services: Services
) -> None:
    account_id = await _newsletter(services)
    later = {**WORDS, "at": "2030-01-07T09:00"}
    made = await ask(client, "POST", "/posts", later, status=201)
    shown = await ask(client, "POST", "/posts/preview/mail", {"post_id": made["id"]})
    assert shown["subject"] == "Réouverture"
    for body, field in (
        ({"post_id": "nowhere"}, "id"),
        ({"post": WORDS, "account": "nowhere"}, "account"),
        ({"post": WORDS, "contact": "nowhere"}, "contact"),
        ({"post": {"link": "https://x.org"}, "account": account_id}, "title"),
        ({}, "body"),
    ):
        refused = await client.post("/api/v1/posts/preview/mail", json=body)
        assert refused.status in {404, 422}, body
        assert (await refused.json())["errors"][0]["field"] == field, body


async def test_the_way_to_its_article_is_shown_as_it_will_be_sent(
    client: Client, services: Services, blog: str
) -> None:
    account_id = await _newsletter(services)
    words = {**WORDS, "accounts": [account_id, blog], "at": "2030-01-07T09:00"}
    drafted = await ask(client, "POST", "/posts/preview/mail", {"post": words})
    assert "/blog/reouverture" in drafted["html"]
    made = await ask(client, "POST", "/posts", words, status=201)
    stored = await ask(client, "POST", "/posts/preview/mail", {"post_id": made["id"]})
    assert stored["html"] == drafted["html"]
    alone = {**words, "accounts": [account_id]}
    unled = await ask(client, "POST", "/posts/preview/mail", {"post": alone})
    assert "/blog/reouverture" not in unled["html"]


async def test_without_a_newsletter_there_is_nothing_to_show(client: Client, blog: str) -> None:
    del blog
    refused = await ask(client, "POST", "/posts/preview/mail", {"post": WORDS}, status=422)
    assert "connect a newsletter" in refused["errors"][0]["remedy"]


async def _counted(services: Services) -> list[int]:
    async with services.database.read() as connection:
        return [
            (await connection.execute(select(func.count()).select_from(table))).scalar_one()
            for table in (recipients, attempts, deliveries, contacts)
        ]


async def test_a_test_is_marked_and_changes_nothing(client: Client, services: Services) -> None:
    contact_id = await _contact(client)
    async with practice() as (relay, account):
        settings = account.settings.model_dump(mode="json")
        settings["relays"] = [
            {**one.model_dump(mode="json"), "password": one.password.get_secret_value()}
            for one in account.settings.relays
        ]
        await connect(services, "La lettre", "newsletter", **settings)
        before = await _counted(services)
        body = {"post": WORDS, "contact": contact_id, "to": "Owner@Shop.org"}
        done = await ask(client, "POST", "/posts/test-mail", body)
        assert done["sent"], done
        (entry,) = relay.ledger.entries("newsletter")
        assert "[test]" in str(entry)
        assert "owner@shop.org" in str(entry)
    assert await _counted(services) == before


async def test_tests_are_few_and_never_to_who_is_barred(client: Client, services: Services) -> None:
    relay = CountingRelay()
    await relay.start()
    try:
        relays = [{"host": "127.0.0.1", "port": relay.port, "tls": "none"}]
        await _newsletter(services, relays=relays)
        async with services.database.write() as connection:
            await connection.execute(
                insert(suppressions).values(
                    hash=fingerprint(key_of(services), "gone@x.org"), reason="erased", at=1
                )
            )
        barred = {"post": WORDS, "to": "gone@x.org"}
        await ask(client, "POST", "/posts/test-mail", barred, status=409)
        body = {"post": WORDS, "to": "me@x.org"}
        for _ in range(10):
            assert (await ask(client, "POST", "/posts/test-mail", body))["sent"]
        refused = await ask(client, "POST", "/posts/test-mail", body, status=429)
        assert "wait" in refused["errors"][0]["remedy"]
        assert relay.received == {"<me@x.org>": 10} or sum(relay.received.values()) == 10
    finally:
        await relay.stop()


@pytest.mark.parametrize("to", ["nobody", "a@b", ""])
async def test_a_test_needs_an_address(client: Client, services: Services, to: str) -> None:
    await _newsletter(services)
    refused = await ask(client, "POST", "/posts/test-mail", {"post": WORDS, "to": to}, status=422)
    assert refused["errors"][0]["field"] == "to"


async def test_a_relay_that_is_not_there_is_said(client: Client, services: Services) -> None:
    await _newsletter(services)
    done = await ask(client, "POST", "/posts/test-mail", {"post": WORDS, "to": "me@x.org"})
    assert not done["sent"]
    assert done["detail"]


async def test_the_page_shows_the_mail_in_a_frame_and_sends_a_test(
    client: Client, services: Services
) -> None:
    relay = CountingRelay()
    await relay.start()
    try:
        relays = [{"host": "127.0.0.1", "port": relay.port, "tls": "none"}]
        account_id = await _newsletter(services, relays=relays)
        later = {**WORDS, "title": "<b>Bonjour</b>", "at": "2030-01-07T09:00"}
        made = await ask(client, "POST", "/posts", later, status=201)
        path = f"/preview/{made['id']}"
        async with TestClient(TestServer(create_app(services))) as browser:
            refused = await browser.get(path, allow_redirects=False)
            assert (refused.status, refused.headers["Location"]) == (303, "/login")
            assert (await browser.get(f"{path}/mail.html")).status == 403
            await browser.post("/login", data={"token": await token(services, Scope.WRITE)})
            assert f'{path}?account={account_id}"' in await (await browser.get("/")).text()
            french = {"Accept-Language": "fr"}
            page = await (await browser.get(path, headers=french)).text()
            assert "Aperçu" in page
            assert "<b>Bonjour" not in page
            framed = await browser.get(f"{path}/mail.html")
            assert framed.headers["Content-Security-Policy"].startswith("sandbox")
            assert "chers amis" in await framed.text()
            found = re.search(r'name="word" value="([^"]+)"', page)
            assert found is not None
            form = {"word": found[1], "to": "me@x.org"}
            assert (await browser.post(path, data={**form, "word": "guessed"})).status == 403
            assert "Sent to me@x.org" in await (await browser.post(path, data=form)).text()
            wrong = await browser.post(path, data={**form, "to": "nobody"})
            assert "Not sent" in await wrong.text()
        assert sum(relay.received.values()) == 1
    finally:
        await relay.stop()
