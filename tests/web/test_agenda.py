"""The calendar: who may read it, and that calendar programs understand it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from icalendar import Calendar

from scheduler.services import Services, open_services
from scheduler.settings import Settings
from scheduler.store.tokens import Scope
from tests.support.clocks import SetClock
from tests.web.conftest import Client, token

PATH = "/api/v1/calendar.ics"
TODAY = datetime(2027, 1, 15, 12, 0, tzinfo=UTC)


@pytest.fixture
async def services(database_url: str, tmp_path: Path) -> AsyncIterator[Services]:
    """Services of a day before all that is planned here, whatever day it is."""
    settings = Settings(
        data_dir=tmp_path, database_url=database_url, redis_url="none", zone="Europe/Paris"
    )
    async with open_services(settings, clock=SetClock(TODAY)) as services:
        yield services


async def subscribed(client: Client) -> str:
    """The path and query of a new subscription."""
    answer = await client.post("/api/v1/calendar", json={"name": "phone"})
    assert answer.status == 201
    return "/api" + str((await answer.json())["url"]).split("/api", 1)[1]


async def entries(client: Client, path: str = PATH) -> list[Any]:
    answer = await client.get(path)
    assert answer.status == 200
    assert answer.content_type == "text/calendar"
    return list(Calendar.from_ical(await answer.read()).walk("VEVENT"))


async def campaign(client: Client) -> Any:
    body = {
        "name": "Réouverture, enfin",
        "anchor": "2027-03-30T09:00",
        "zone": "Europe/Paris",
        "posts": [
            {
                "title": "C’est {{countdown}}",
                "body": "Le **{{day}}**; venez\nnombreux",
                "language": "fr",
                "when": {"days": -7, "at": "10:00"},
            }
        ],
    }
    return await (await client.post("/api/v1/campaigns", json=body)).json()


async def test_it_holds_posts_and_anchors_as_they_read_and_when(client: Client, blog: str) -> None:
    made = await campaign(client)
    await client.post(
        "/api/v1/posts", json={"title": "A\r\nBEGIN:VEVENT", "body": "x", "at": "2027-03-01T09:00"}
    )
    plain, post, anchor = sorted(await entries(client), key=lambda one: one.start)
    assert str(plain["SUMMARY"]) == "A\nBEGIN:VEVENT"
    assert post.start.isoformat() == "2027-03-23T09:00:00+00:00"
    assert str(post["SUMMARY"]) == "C’est dans 7 jours"
    assert "Our site: scheduled" in str(post["DESCRIPTION"])
    assert "Le mardi 30 mars; venez" in str(post["DESCRIPTION"])
    assert post["UID"].startswith(made["posts"][0]["id"])
    assert anchor.start.isoformat() == "2027-03-30T07:00:00+00:00"
    assert str(anchor["SUMMARY"]) == "Réouverture, enfin"


async def test_moved_and_cancelled_it_follows(client: Client, blog: str) -> None:
    made = await campaign(client)
    path = f"/api/v1/campaigns/{made['id']}"
    shift = {"anchor": "2027-04-06T09:00"}
    shown = await (await client.post(f"{path}/move/preview", json=shift)).json()
    await client.post(f"{path}/move", json={**shift, "token": shown["token"]})
    post, anchor = sorted(await entries(client), key=lambda one: one.start)
    assert post.start.isoformat() == "2027-03-30T08:00:00+00:00"
    assert int(post["SEQUENCE"]) == int(anchor["SEQUENCE"]) == 1
    await client.post(f"{path}/cancel", json={})
    assert await entries(client) == []


async def test_a_subscription_opens_the_calendar_and_nothing_else(
    client: Client, services: Services, blog: str
) -> None:
    path = await subscribed(client)
    secret = path.split("token=")[1]
    client.session.headers.pop("Authorization")
    assert await entries(client, path) == []
    held = {"Authorization": f"Bearer {secret}"}
    assert (await client.get("/api/v1/posts", headers=held)).status == 403
    assert (await client.get(PATH, headers=held)).status == 200


@pytest.mark.parametrize("query", ["", "?token=", "?token=est_wrong"])
async def test_without_its_token_nobody_reads_it(client: Client, query: str) -> None:
    client.session.headers.pop("Authorization")
    answer = await client.get(PATH + query)
    assert answer.status == 401
    assert "POST /api/v1/calendar" in (await answer.json())["errors"][0]["remedy"]


async def test_a_token_that_may_do_more_does_not_belong_in_an_address(
    client: Client, services: Services
) -> None:
    client.session.headers.pop("Authorization")
    answer = await client.get(f"{PATH}?token={await token(services, Scope.ADMIN)}")
    assert answer.status == 401
    assert "does not belong" in (await answer.json())["detail"]


async def test_a_revoked_subscription_is_closed(client: Client) -> None:
    made = await (await client.post("/api/v1/calendar", json={})).json()
    assert (await client.delete(f"/api/v1/tokens/{made['token_id']}")).status in {200, 204}
    secret = made["url"].split("token=")[1]
    client.session.headers.pop("Authorization")
    assert (await client.get(f"{PATH}?token={secret}")).status == 401
