"""Campaigns over HTTP: from a template or from posts, previewed, moved, refused by name."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sqlalchemy import func, select

from scheduler.services import Services
from scheduler.store.campaign_tables import campaigns
from scheduler.store.tables import deliveries, posts
from tests.web.conftest import Client

HOURS = {"tuesday": ["09:00-12:30", "14:00-19:00"], "saturday": ["09:00-13:00"]}
REOPENING = {
    "name": "Réouverture",
    "template": "reopening",
    "language": "fr",
    "anchor": "2030-05-02T09:00",
    "zone": "Europe/Paris",
    "hours": HOURS,
}
OWN: dict[str, Any] = {
    "name": "Ours",
    "anchor": "2030-05-02T09:00",
    "fields": {"place": "rue Haute"},
    "posts": [
        {"body": "On {{date}}, {{place}}", "when": {"days": -1, "at": "18:00"}},
        {"body": "Now, {{place}}", "label": "the hour"},
    ],
}


async def count(services: Services, table: Any) -> int:
    async with services.database.read() as connection:
        return int((await connection.execute(select(func.count()).select_from(table))).scalar_one())


async def made(client: Client, body: Any) -> Any:
    answer = await client.post("/api/v1/campaigns", json=body)
    assert answer.status == 201, await answer.text()
    return await answer.json()


async def test_a_template_becomes_a_campaign(client: Client, services: Services, blog: str) -> None:
    answer = await client.post("/api/v1/campaigns", json=REOPENING)
    assert answer.status == 201
    created = await answer.json()
    read = await (await client.get(answer.headers["Location"])).json()
    assert {**read, "skipped": [], "problems": created["problems"]} == created
    assert [post["at"] for post in read["posts"]] == [
        "2030-04-18T10:00:00+02:00",
        "2030-04-25T10:00:00+02:00",
        "2030-05-01T18:00:00+02:00",
        "2030-05-02T09:00:00+02:00",
        "2030-05-05T10:00:00+02:00",
    ]
    assert read["posts"][0]["reads"]["title"] == "Nous rouvrons le jeudi 2 mai"
    assert read["posts"][1]["reads"]["title"] == "Nous rouvrons dans 7 jours"
    assert "- mardi\u00a0: 9\u00a0h" in read["posts"][1]["reads"]["body"]
    assert read["posts"][2]["reads"]["title"] == "C’est demain\u00a0!"
    assert {leg["account_id"] for post in read["posts"] for leg in post["deliveries"]} == {blog}
    listed = await (await client.get("/api/v1/campaigns")).json()
    assert [one["id"] for one in listed["campaigns"]] == [created["id"]]
    timed = await (await client.get("/api/v1/posts", params={"campaign": created["id"]})).json()
    assert len(timed["posts"]) == 5


async def test_a_preview_says_the_same_and_stores_nothing(
    client: Client, services: Services, blog: str
) -> None:
    seen = await (await client.post("/api/v1/campaigns/preview", json=REOPENING)).json()
    assert await count(services, campaigns) == await count(services, posts) == 0
    created = await made(client, REOPENING)
    assert [post["reads"] for post in seen["posts"]] == [p["reads"] for p in created["posts"]]
    assert [post["at"] for post in seen["posts"]] == [post["at"] for post in created["posts"]]


async def test_the_same_key_makes_one_campaign(
    client: Client, services: Services, blog: str
) -> None:
    headers = {"Idempotency-Key": "once"}
    answers = await asyncio.gather(
        *(client.post("/api/v1/campaigns", json=REOPENING, headers=headers) for _ in range(4))
    )
    bodies = [await answer.json() for answer in answers]
    assert all(body == bodies[0] for body in bodies)
    assert await count(services, campaigns) == 1
    assert await count(services, posts) == 5
    other = await client.post(
        "/api/v1/campaigns", json={**REOPENING, "name": "Another"}, headers=headers
    )
    assert other.status == 422
    assert (await other.json())["errors"][0]["field"] == "Idempotency-Key"


@pytest.mark.parametrize(
    ("change", "field", "word"),
    [
        ({"posts": [{"body": "{{plaec}}"}]}, "posts[0].body", "{{plaec}}"),
        ({"posts": [{"body": "{{hours}}"}]}, "posts[0].body", "{{hours}}"),
        ({"posts": [{"body": ""}]}, "posts[0]", "says nothing"),
        ({"posts": [{"body": "x", "when": {"days": 1, "minutes": 1}}]}, "posts[0].when", "twice"),
        ({"posts": [{"body": "x", "when": {"at": "25:00"}}]}, "posts[0].when.at", "pattern"),
        ({"anchor": "2030-03-31T02:30"}, "anchor", "does not exist"),
        ({"anchor": "2020-05-02T09:00"}, "posts[0].when", "in the past"),
        ({"zone": "Mars/Olympus"}, "zone", "time zone"),
        ({"fields": {"date": "x"}}, "body", "placeholder of ours"),
        ({"fields": {"Place": "x"}}, "fields.Place", "pattern"),
        ({"posts": []}, "body", "either a template or posts"),
        ({"posts": [], "template": "reopenin"}, "template", "no template"),
        ({"posts": [], "template": "reopening"}, "hours", "opening hours"),
        ({"posts": [], "template": "closing"}, "fields.reason", "needs it"),
        ({"posts": [], "template": "closing", "language": "de"}, "language", "does not speak"),
        ({"accounts": ["nobody"]}, "accounts[0]", "no account"),
        ({"hours": {"monday": ["19:00-09:00"]}}, "hours", "ends before"),
    ],
)
async def test_what_cannot_be_is_refused_by_name_and_nothing_is_stored(
    client: Client, services: Services, blog: str, change: Any, field: str, word: str
) -> None:
    answer = await client.post("/api/v1/campaigns", json={**OWN, **change})
    assert answer.status == 422
    errors = (await answer.json())["errors"]
    assert any(field in error["field"] and word in error["detail"] for error in errors), errors
    assert all(error["remedy"] for error in errors)
    assert await count(services, campaigns) == await count(services, posts) == 0


async def test_posts_whose_time_is_over_can_be_left_out(client: Client, blog: str) -> None:
    story = [*OWN["posts"], {"body": "x", "label": "old", "when": {"days": -999}}]
    asked = {**OWN, "anchor": "2028-01-02T09:00", "posts": story}
    refused = await client.post("/api/v1/campaigns", json=asked)
    assert [error["field"] for error in (await refused.json())["errors"]] == ["posts[2].when"]
    created = await made(client, {**asked, "past": "skip"})
    assert len(created["posts"]) == 2
    assert [one["label"] for one in created["skipped"]] == ["old"]


async def test_a_move_does_what_its_preview_says(client: Client, blog: str) -> None:
    path = f"/api/v1/campaigns/{(await made(client, OWN))['id']}"
    shift = {"anchor": "2030-10-27T18:00", "fields": {"place": "rue Basse"}}
    shown = await (await client.post(f"{path}/move/preview", json=shift)).json()
    assert [one["effect"] for one in shown["posts"]] == ["moves", "moves"]
    unmoved = await (await client.get(path)).json()
    assert unmoved["anchor"] == OWN["anchor"]
    moved = await client.post(f"{path}/move", json={**shift, "token": shown["token"]})
    assert moved.status == 200
    read = await (await client.get(path)).json()
    assert read["version"] == 2
    assert read["anchor_at"] == "2030-10-27T18:00+01:00"
    assert [post["at"] for post in read["posts"]] == [
        "2030-10-26T18:00:00+02:00",
        "2030-10-27T18:00:00+01:00",
    ]
    assert read["posts"][0]["reads"]["body"] == "On Sunday, October 27, 2030, rue Basse"
    again = await client.post(f"{path}/move", json={**shift, "token": shown["token"]})
    assert again.status == 409
    assert (await again.json())["errors"][0]["field"] == "token"


async def test_a_move_that_would_leave_a_placeholder_empty_is_refused(
    client: Client, blog: str
) -> None:
    path = f"/api/v1/campaigns/{(await made(client, OWN))['id']}"
    refused = await client.post(f"{path}/move/preview", json={"fields": {}})
    assert refused.status == 422
    assert "{{place}}" in (await refused.json())["errors"][0]["detail"]
    nothing = await client.post(f"{path}/move/preview", json={})
    assert "nothing to change" in (await nothing.json())["errors"][0]["detail"]


async def test_a_post_given_its_own_time_stays_when_the_campaign_moves(
    client: Client, blog: str
) -> None:
    created = await made(client, OWN)
    path = f"/api/v1/campaigns/{created['id']}"
    own = created["posts"][0]["id"]
    changed = await client.patch(f"/api/v1/posts/{own}", json={"at": "2030-04-29T12:00"})
    assert changed.status == 200
    shown = await (
        await client.post(f"{path}/move/preview", json={"anchor": "2030-06-01T09:00"})
    ).json()
    effects = {one["post_id"]: one for one in shown["posts"]}
    assert effects[own]["effect"] == "fixed"
    assert effects[own]["new_at"] == effects[own]["at"] == "2030-04-29T12:00+02:00"
    wrong = await client.patch(f"/api/v1/posts/{own}", json={"body": "{{nothing}}"})
    assert wrong.status == 422
    assert (await wrong.json())["errors"][0]["field"] == "body"
    right = await client.patch(f"/api/v1/posts/{own}", json={"body": "Hello {{place}}"})
    assert right.status == 200


async def test_cancelling_over_http(client: Client, services: Services, blog: str) -> None:
    path = f"/api/v1/campaigns/{(await made(client, OWN))['id']}"
    cancelled = await (await client.post(f"{path}/cancel", json={})).json()
    assert cancelled["cancelled_at"]
    async with services.database.read() as connection:
        states = (await connection.execute(select(deliveries.c.state))).scalars().all()
    assert set(states) == {"cancelled"}
    assert (await client.post(f"{path}/cancel", json={})).status == 409


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", ""), ("POST", "/cancel"), ("POST", "/move/preview"), ("POST", "/move")],
)
async def test_there_is_no_such_campaign(client: Client, method: str, path: str) -> None:
    body = (
        {"anchor": "2030-06-01T09:00", "token": "x"}
        if path == "/move"
        else {"anchor": "2030-06-01T09:00"}
    )
    answer = await client.request(
        method, f"/api/v1/campaigns/none{path}", json=body if path else None
    )
    assert answer.status == 404


async def test_templates_are_listed_by_language(client: Client) -> None:
    everything = (await (await client.get("/api/v1/templates")).json())["templates"]
    french = (await (await client.get("/api/v1/templates?language=fr")).json())["templates"]
    assert len(everything) == 2 * len(french) == 12
    assert {one["language"] for one in french} == {"fr"}
    closing = next(one for one in french if one["name"] == "closing")
    assert [field["name"] for field in closing["fields"]] == ["reason", "reopening"]
    assert closing["posts"][0]["when"] == {"days": -7, "at": "10:00", "minutes": 0}
