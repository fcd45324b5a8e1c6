"""Accounts, routes and tokens over HTTP."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import insert, select, text

from scheduler.services import Services
from scheduler.store import accounts
from scheduler.store.tables import deliveries
from tests.web.conftest import Client
from tests.web.support import ask, connect, facebook, post, put

PAGE: dict[str, Any] = {
    "adapter": "facebook",
    "name": "Our page",
    "settings": {"page_id": "123456", "access_token": "s3cret-token"},
    "check": False,
}


async def test_a_connected_account_never_shows_its_credentials(
    client: Client, services: Services
) -> None:
    made = await ask(client, "POST", "/accounts", PAGE, status=201)
    listed = await ask(client, "GET", "/accounts")
    for said in (made, listed, await ask(client, "GET", f"/accounts/{made['id']}")):
        assert "s3cret-token" not in str(said)
    assert made["settings"]["access_token"] == "**********"
    async with services.database.read() as connection:
        row = await accounts.get(connection, made["id"])
    assert row is not None
    assert b"s3cret-token" not in row["secrets"]
    assert "s3cret-token" not in str(row["settings"])
    (member,) = (await services.roster.everyone()).values()
    assert member.account.settings.model_dump()["access_token"].get_secret_value() == "s3cret-token"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({**PAGE, "adapter": "pigeon"}, "adapter"),
        ({**PAGE, "settings": {}}, "settings.page_id"),
        ({**PAGE, "settings": {**PAGE["settings"], "colour": "red"}}, "settings.colour"),
        ({**PAGE, "settings": {"page_id": "1", "access_token": "**********"}},
         "settings.access_token"),
        ({**PAGE, "name": ""}, "name"),
    ],
)  # fmt: skip
async def test_a_bad_account_is_not_connected(
    client: Client, body: dict[str, Any], field: str
) -> None:
    problem = await ask(client, "POST", "/accounts", body, status=422)
    assert field in [error["field"] for error in problem["errors"]]
    assert "s3cret-token" not in str(problem)
    assert (await ask(client, "GET", "/accounts"))["accounts"] == []


async def test_every_channel_says_what_connecting_it_takes(client: Client) -> None:
    found = await ask(client, "GET", "/channels")
    facebook = next(one for one in found["channels"] if one["adapter"] == "facebook")
    assert "access_token" in facebook["settings"]["properties"]


async def test_a_pause_by_hand_leaves_the_account_out_until_it_is_resumed(
    client: Client, services: Services, blog: str
) -> None:
    other = await connect(services, "Other site")
    paused = await ask(client, "POST", f"/accounts/{other}/pause", {})
    assert (paused["paused"], paused["paused_until"]) == (True, None)
    made = await post(client)
    assert [one["account_id"] for one in made["deliveries"]] == [blog]
    asked = await post(client, accounts=[other])
    assert asked["problems"][0]["code"] == "account-waits"
    resumed = await ask(client, "POST", f"/accounts/{other}/resume")
    assert resumed["paused"] is False
    assert len((await post(client))["deliveries"]) == 2


async def test_a_pause_has_an_end_in_the_future(client: Client, blog: str) -> None:
    until = {"until": "2031-01-01T00:00:00+01:00"}
    paused = await ask(client, "POST", f"/accounts/{blog}/pause", until)
    assert paused["paused_until"] == "2030-12-31T23:00:00Z"
    for bad in ("2020-01-01T00:00:00Z", "2031-01-01T00:00:00"):
        problem = await ask(client, "POST", f"/accounts/{blog}/pause", {"until": bad}, status=422)
        assert problem["errors"][0]["field"] == "until"


async def test_reconnecting_lets_go_what_was_held_for_access(
    client: Client, services: Services
) -> None:
    page = await facebook(services)
    made = await post(client)
    one = made["deliveries"][0]["id"]
    await put(services, one, state="held", hold_reason="access-lost")
    settings = {"page_id": "123456", "access_token": "new-token"}
    renewed = {"name": "Page", "settings": settings, "check": False}
    read = await ask(client, "PUT", f"/accounts/{page}", renewed)
    assert (read["name"], read["status"]) == ("Page", "healthy")
    assert (await ask(client, "GET", f"/deliveries/{one}"))["state"] == "scheduled"


async def test_an_account_with_a_queue_is_not_archived(client: Client, blog: str) -> None:
    made = await post(client)
    problem = await ask(client, "DELETE", f"/accounts/{blog}", status=409)
    assert "1 deliveries" in problem["detail"]
    await ask(client, "POST", f"/posts/{made['id']}/cancel")
    await ask(client, "DELETE", f"/accounts/{blog}", status=204)
    assert (await ask(client, "GET", "/accounts"))["accounts"] == []
    assert len((await ask(client, "GET", "/accounts?archived=true"))["accounts"]) == 1


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_a_post_that_is_being_accepted_keeps_its_account_from_the_archive(
    client: Client, services: Services, blog: str
) -> None:
    """SQLite has one writer at a time; on PostgreSQL the two meet at the account."""
    made = await post(client)
    async with services.database.write() as connection:
        row = (await connection.execute(select(deliveries))).mappings().one()
    await ask(client, "POST", f"/posts/{made['id']}/cancel")
    async with services.database.write() as connection:
        await connection.execute(insert(deliveries).values({**row, "id": "accepted just now"}))
        archiving = asyncio.create_task(ask(client, "DELETE", f"/accounts/{blog}", status=409))
        waits = text("SELECT 1 FROM pg_locks WHERE NOT granted")
        async with services.database.read() as looking, asyncio.timeout(60):
            while not archiving.done() and (await looking.execute(waits)).first() is None:  # noqa: ASYNC110 -- no event
                await asyncio.sleep(0.01)
    assert "1 deliveries" in (await archiving)["detail"]


async def test_a_probe_looks_at_the_account(client: Client, blog: str) -> None:
    found = await ask(client, "POST", f"/accounts/{blog}/probe")
    assert found["status"] == "healthy"
    assert found["account"]["checked_at"] is not None


async def test_an_account_without_a_route_of_its_own_has_the_default_one(
    client: Client, services: Services, blog: str
) -> None:
    page = await facebook(services)
    read = await ask(client, "GET", f"/routes/{page}")
    assert (read["fallbacks"], read["default"]) == ([blog], True)
    written = {"fallbacks": [], "kinds": {"promotional": "ask"}, "note": "Find us here."}
    read = await ask(client, "PUT", f"/routes/{page}", written)
    assert (read["fallbacks"], read["default"]) == ([], False)
    assert (read["kinds"]["promotional"], read["note"]) == ("ask", "Find us here.")
    assert "no plan B" in read["warnings"][0]
    read = await ask(client, "DELETE", f"/routes/{page}")
    assert read["fallbacks"] == [blog]
    assert len((await ask(client, "GET", "/routes"))["routes"]) == 2


async def test_a_route_that_leads_nowhere_is_refused(
    client: Client, services: Services, blog: str
) -> None:
    page = await facebook(services)
    for way, field in (([page], "fallbacks[0]"), ([blog, blog], "fallbacks[1]"),
                       (["none"], "fallbacks[0]")):  # fmt: skip
        for method, path in (("PUT", f"/routes/{page}"), ("POST", f"/routes/{page}/check")):
            problem = await ask(client, method, path, {"fallbacks": way}, status=422)
            assert problem["errors"][0]["field"] == field
    assert (await ask(client, "GET", f"/routes/{page}"))["default"] is True
    checked = await ask(client, "POST", f"/routes/{page}/check", {"fallbacks": [blog]})
    assert checked == {"warnings": []}


async def test_a_preview_shows_what_each_account_would_publish_and_stores_nothing(
    client: Client, services: Services, blog: str
) -> None:
    page = await facebook(services)
    asked = {"title": "We reopen", "body": "On **Monday**.", "first_comment": "Come in."}
    plan = await ask(client, "POST", "/posts/preview", asked)
    texts = {(one["account_id"], one["part"]): one for one in plan["deliveries"]}
    assert "<strong>Monday</strong>" in texts[blog, "post"]["html"]
    assert "On Monday." in texts[page, "post"]["text"]
    assert texts[page, "post"]["fallbacks"] == [blog]
    assert texts[page, "first-comment"]["text"] == "Come in."
    assert plan["publishable"] is True
    assert [one["code"] for one in plan["problems"]] == ["no-first-comment"]
    assert (await ask(client, "GET", "/posts"))["posts"] == []


async def test_a_revoked_or_expired_token_opens_nothing(client: Client) -> None:
    made = await ask(client, "POST", "/tokens", {"name": "ci", "scopes": ["read"]}, status=201)
    headers = {"Authorization": f"Bearer {made['secret']}"}
    assert (await client.get("/api/v1/posts", headers=headers)).status == 200
    assert made["secret"] not in str(await ask(client, "GET", "/tokens"))
    await ask(client, "DELETE", f"/tokens/{made['id']}", status=204)
    assert (await client.get("/api/v1/posts", headers=headers)).status == 401
    past = datetime(2020, 1, 1, tzinfo=UTC).isoformat()
    problem = await ask(client, "POST", "/tokens", {"name": "x", "expires_at": past}, status=422)
    assert problem["errors"][0]["field"] == "expires_at"
