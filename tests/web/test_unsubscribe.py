"""The link that every mail carries, over real HTTP: one POST is enough, no GET ever is."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import aiohttp
import pytest
from aiohttp.test_utils import TestClient, TestServer
from sqlalchemy import select

from channels.base import Courier, Recipient
from channels.outcome import Delivered, Outcome, RecipientOutcome
from channels.posts import Message
from scheduler.audience.links import UnsubscribeLinks, audience_key
from scheduler.broadcast import broadcaster
from scheduler.services import Services
from scheduler.store.audience_tables import consents, memberships
from scheduler.web.app import create_app
from tests.channels.newsletter.support import adapter, post, practice
from tests.support.audience import ACCOUNT, seed, states
from tests.web.conftest import Client

ONE_CLICK = {"List-Unsubscribe": "One-Click"}
SCANS = int(os.environ.get("SCANS", "1000"))  # 10,000 take a minute on a busy machine


@pytest.fixture
async def stranger(services: Services) -> AsyncIterator[Client]:
    """A mail provider's server: no token, no cookie."""
    app = create_app(services)
    jar = aiohttp.DummyCookieJar()
    async with TestClient(TestServer(app), cookie_jar=jar) as client:
        yield client


async def _readers(services: Services, *readers: dict[str, Any]) -> Any:
    return await seed(services.database, readers, now=services.clock.micros())


def _path(services: Services, contact_id: str) -> str:
    key = audience_key("", services.settings.data_dir)
    return UnsubscribeLinks("", key).link(contact_id, ACCOUNT)


async def _members(services: Services) -> dict[str, str]:
    async with services.database.read() as connection:
        rows = await connection.execute(select(memberships.c.contact_id, memberships.c.state))
        return {row[0]: row[1] for row in rows}


async def _evidence(services: Services) -> list[tuple[str, str, str, str]]:
    statement = select(
        consents.c.contact_id, consents.c.list_id, consents.c.action, consents.c.source
    ).order_by(consents.c.id)
    async with services.database.read() as connection:
        return [tuple(row) for row in await connection.execute(statement)]


def _multipart() -> aiohttp.MultipartWriter:
    writer = aiohttp.MultipartWriter("form-data")
    part = writer.append("One-Click")
    part.set_content_disposition("form-data", name="List-Unsubscribe")
    return writer


@pytest.mark.parametrize("body", [dict, _multipart])
async def test_the_providers_post_unsubscribes_without_redirect_or_cookie(
    services: Services, stranger: Client, body: Any
) -> None:
    await _readers(services, {"id": "a", "email": "a@x.org"}, {"id": "b", "email": "b@x.org"})
    data = body() or ONE_CLICK
    answer = await stranger.post(_path(services, "a"), data=data, allow_redirects=False)
    assert answer.status == 200
    assert "Set-Cookie" not in answer.headers
    assert await _members(services) == {"a": "unsubscribed", "b": "subscribed"}
    assert await _evidence(services) == [("a", ACCOUNT, "unsubscribe", "one-click link")]
    again = await stranger.post(_path(services, "a"), data=ONE_CLICK)
    assert again.status == 200
    assert len(await _evidence(services)) == 1


async def test_a_get_shows_a_button_in_the_readers_language(
    services: Services, stranger: Client
) -> None:
    await _readers(
        services,
        {"id": "fr", "email": "amelie@x.org", "language": "fr-FR"},
        {"id": "any", "email": "b@x.org", "language": ""},
    )
    answer = await stranger.get(
        _path(services, "fr"), headers={"Accept-Language": "en"}, allow_redirects=False
    )
    page = await answer.text()
    assert answer.status == 200
    assert "Se désinscrire" in page
    assert "a…@x.org" in page
    assert "amelie@x.org" not in page
    assert answer.headers["Cache-Control"] == "no-store"
    english = await stranger.get(_path(services, "any"), headers={"Accept-Language": "en-GB"})
    assert ">Unsubscribe</button>" in await english.text()
    assert set((await _members(services)).values()) == {"subscribed"}


async def test_a_scanner_that_opens_every_link_unsubscribes_nobody(
    services: Services, stranger: Client
) -> None:
    await _readers(services, *({"id": f"c{n}", "email": f"r{n}@x.org"} for n in range(10)))
    paths = iter([_path(services, f"c{n % 10}") for n in range(SCANS)])
    seen = 0

    async def scan() -> None:
        nonlocal seen
        for path in paths:
            async with stranger.request("HEAD" if seen % 10 == 0 else "GET", path) as answer:
                assert answer.status == 200
            seen += 1

    await asyncio.gather(*(scan() for _ in range(20)))
    assert seen == SCANS
    assert set((await _members(services)).values()) == {"subscribed"}
    assert await _evidence(services) == []


@pytest.mark.parametrize("token", ["x", "é", "AAAA" * 30, "forged"])
async def test_a_forged_link_changes_nothing_and_is_told_kindly(
    services: Services, stranger: Client, token: str
) -> None:
    await _readers(services, {"id": "a", "email": "a@x.org"})
    if token == "forged":
        token = UnsubscribeLinks("", b"another key").link("a", ACCOUNT).removeprefix("/u/")
    for answer in (
        await stranger.get(f"/u/{token}", headers={"Accept-Language": "fr"}),
        await stranger.post(f"/u/{token}", data=ONE_CLICK, headers={"Accept-Language": "fr"}),
    ):
        assert answer.status == 404
        assert answer.content_type == "text/html"
        assert "ne mène nulle part" in await answer.text()
    assert await _members(services) == {"a": "subscribed"}


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"", "application/x-www-form-urlencoded"),
        (b"List-Unsubscribe=Later", "application/x-www-form-urlencoded"),
        (b"no part at all", "multipart/form-data; boundary=x"),
        (b"{}", "application/json"),
    ],
)
async def test_another_post_gets_the_button_and_changes_nothing(
    services: Services, stranger: Client, body: bytes, content_type: str
) -> None:
    await _readers(services, {"id": "a", "email": "a@x.org"})
    answer = await stranger.post(
        _path(services, "a"), data=body, headers={"Content-Type": content_type}
    )
    assert answer.status == 400
    assert "<button>" in await answer.text()
    assert await _members(services) == {"a": "subscribed"}


async def test_the_link_of_somebody_erased_says_that_they_are_on_no_list(
    services: Services, stranger: Client
) -> None:
    await _readers(services, {"id": "a", "email": "a@x.org"})
    for answer in (
        await stranger.get(_path(services, "gone")),
        await stranger.post(_path(services, "gone"), data=ONE_CLICK),
    ):
        assert answer.status == 200
        assert "not on this list" in await answer.text()


async def test_who_is_asked_again_and_stays_leaves_new_evidence(
    services: Services, stranger: Client
) -> None:
    await _readers(services, {"id": "a", "email": "a@x.org"}, {"id": "b", "email": "b@x.org"})
    path = _path(services, "a")
    wording = "Je souhaite continuer à recevoir «\u00a0l\u00a0»."
    assert wording in await (await stranger.get(path)).text()
    answer = await stranger.post(path, data={"stay": "yes"})
    assert "Vous recevez toujours" in await answer.text()
    assert await _members(services) == {"a": "subscribed", "b": "subscribed"}
    async with services.database.read() as connection:
        (proof,) = (await connection.execute(select(consents))).mappings().all()
    assert (proof["contact_id"], proof["action"], proof["form"]) == ("a", "renew", "/u")
    assert proof["wording"] == wording
    assert proof["confirmed_at"] == proof["at"]
    assert len(proof["wording_version"]) == 8
    await stranger.post(path, data=ONE_CLICK)
    gone = await stranger.post(path, data={"stay": "yes"})
    assert "not on this list" in await gone.text()
    assert (await _members(services))["a"] == "unsubscribed"


async def test_the_link_of_a_mail_works_while_the_mailing_runs(
    services: Services, stranger: Client
) -> None:
    delivery = await _readers(
        services, *({"id": f"c{n}", "email": f"r{n}@example.org"} for n in range(30))
    )
    began, go = asyncio.Event(), asyncio.Event()
    async with practice() as (relay, connected):
        account = replace(connected, id=ACCOUNT)
        newsletter = adapter()
        desk = broadcaster(services)
        desk = replace(desk, pace=replace(desk.pace, connections=1))
        message = newsletter.render(post(), account)
        channel: Any = _Held(newsletter, began, go)
        running = asyncio.create_task(desk.run(delivery, message, account, channel))
        await began.wait()
        (first,) = relay.ledger.entries("newsletter")
        reached = str(first.payload["recipient"])
        leaving = "c29" if reached != "r29@example.org" else "c28"
        answer = await stranger.post(_path(services, leaving), data=ONE_CLICK)
        assert answer.status == 200
        while (await states(services.database))[leaving] != "suppressed":  # noqa: ASYNC110 -- SQL has no event
            await asyncio.sleep(0.01)
        go.set()
        assert isinstance(await running, Delivered)
        received = {str(one.payload["recipient"]) for one in relay.ledger.entries("newsletter")}
    assert len(received) == 29
    assert f"r{leaving[1:]}@example.org" not in received


class _Held:
    """A newsletter whose first mail is answered only when the test says so."""

    def __init__(self, channel: Any, began: asyncio.Event, go: asyncio.Event) -> None:
        self.capabilities = channel.capabilities
        self._channel, self._began, self._go = channel, began, go

    async def open(self, message: Message, account: Any) -> Courier | Outcome:
        courier = await self._channel.open(message, account)
        return courier if isinstance(courier, Outcome) else _HeldCourier(courier, self)

    async def hold(self) -> None:
        self._began.set()
        await self._go.wait()


class _HeldCourier:
    def __init__(self, courier: Courier, channel: _Held) -> None:
        self._courier, self._channel = courier, channel

    async def send(self, recipient: Recipient, *, key: str) -> RecipientOutcome:
        outcome = await self._courier.send(recipient, key=key)
        await self._channel.hold()
        return outcome

    async def close(self) -> None:
        await self._courier.close()
