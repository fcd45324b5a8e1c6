"""What a person decides about posts and deliveries, and what can no longer be decided."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select

from scheduler.services import Services
from scheduler.store.claims import claim_due
from scheduler.store.look import open_look
from scheduler.store.tables import deliveries
from tests.web.conftest import Client
from tests.web.support import FUTURE, ask, connect, facebook, post, put

MINUTE = 60_000_000


async def tokens(services: Services, delivery_id: str) -> dict[str, str | None]:
    """What the dispatcher's last look sees."""
    look = open_look(services.database)
    seen = await look.seen([delivery_id])
    await look.close()
    return {key: found.token for key, found in seen.items()}


async def _arm(services: Services, horizon: int) -> list[Any]:
    now = services.clock.micros()
    return await claim_due(
        services.database,
        horizon=horizon,
        worker="w1",
        token="the-token",
        lease_until=now + MINUTE,
        now=now,
    )


async def test_cancelling_takes_an_armed_delivery_from_its_worker(
    client: Client, services: Services, blog: str
) -> None:
    made = await post(client)
    (armed,) = await _arm(services, 2_000_000_000_000_000)
    assert await tokens(services, armed.id) == {armed.id: "the-token"}
    read = await ask(client, "POST", f"/posts/{made['id']}/cancel")
    assert [one["state"] for one in read["deliveries"]] == ["cancelled"]
    assert read["cancelled_at"]
    assert await tokens(services, armed.id) == {}


async def test_what_may_be_on_its_way_cannot_be_called_back(
    client: Client, services: Services, blog: str
) -> None:
    made = await post(client, at="now")
    (armed,) = await _arm(services, services.clock.micros())
    for method, path, body in (
        ("POST", f"/posts/{made['id']}/cancel", None),
        ("POST", f"/posts/{made['id']}/publish", None),
        ("PATCH", f"/posts/{made['id']}", {"title": "Other"}),
        ("POST", f"/deliveries/{armed.id}/cancel", None),
        ("POST", f"/deliveries/{armed.id}/retry", None),
        ("POST", f"/deliveries/{armed.id}/redirect", {"account_id": blog}),
    ):
        problem = await ask(client, method, path, body, status=409)
        assert "at this moment" in problem["detail"], path
    assert await tokens(services, armed.id) == {armed.id: "the-token"}


async def test_a_cancelled_post_stays_cancelled(client: Client, blog: str) -> None:
    made = await post(client)
    await ask(client, "POST", f"/posts/{made['id']}/cancel")
    problem = await ask(client, "POST", f"/posts/{made['id']}/cancel", status=409)
    assert "cancelled" in problem["detail"]
    await ask(client, "PATCH", f"/posts/{made['id']}", {"title": "Back"}, status=409)


async def test_publishing_now_moves_what_waits(
    client: Client, services: Services, blog: str
) -> None:
    made = await post(client)
    before = services.clock.micros()
    await ask(client, "POST", f"/posts/{made['id']}/publish")
    async with services.database.read() as connection:
        row = (await connection.execute(select(deliveries))).one()
    assert before <= row.due_at <= services.clock.micros()
    assert row.due_at == row.planned_at
    assert len(await _arm(services, services.clock.micros())) == 1


async def test_new_words_take_an_armed_delivery_back_to_be_armed_with_them(
    client: Client, services: Services, blog: str
) -> None:
    made = await post(client)
    (armed,) = await _arm(services, 2_000_000_000_000_000)
    read = await ask(client, "PATCH", f"/posts/{made['id']}", {"body": "On Tuesday."})
    assert read["content"]["body"] == "On Tuesday."
    assert read["title"] == FUTURE["title"]
    assert read["version"] == 2
    assert read["at"] == made["at"]
    assert read["deliveries"][0]["state"] == "scheduled"
    assert await tokens(services, armed.id) == {}


async def test_another_time_moves_deliveries_and_deadline(client: Client, blog: str) -> None:
    made = await post(client, deadline="2030-01-07T12:00")
    read = await ask(client, "PATCH", f"/posts/{made['id']}", {"at": "2030-02-01T10:00"})
    (delivery,) = read["deliveries"]
    assert delivery["due_at"] == delivery["planned_at"] == "2030-02-01T09:00:00Z"
    assert delivery["deadline"] == read["deadline"] == "2030-02-01T12:00:00Z"


@pytest.mark.parametrize(
    ("change", "status", "field"),
    [
        ({}, 422, "body"),
        ({"titel": "x"}, 422, "titel"),
        ({"at": "2020-01-01T00:00:00Z"}, 422, "at"),
        ({"title": "", "body": ""}, 422, "body"),
        ({"media": ["none"]}, 422, "media[0]"),
        ({"title": "x", "version": 7}, 409, "version"),
    ],
)
async def test_a_bad_change_changes_nothing(
    client: Client, blog: str, change: dict[str, Any], status: int, field: str
) -> None:
    made = await post(client)
    problem = await ask(client, "PATCH", f"/posts/{made['id']}", change, status=status)
    assert field in [error["field"] for error in problem["errors"]]
    read = await ask(client, "GET", f"/posts/{made['id']}")
    assert read["version"] == 1
    assert read["content"] == made["content"]


async def test_first_comments_come_and_go_with_a_change(client: Client, services: Services) -> None:
    await facebook(services)
    made = await post(client, first_comment="Book a table.")
    assert {one["part"] for one in made["deliveries"]} == {"post", "first-comment"}
    read = await ask(client, "PATCH", f"/posts/{made['id']}", {"first_comment": ""})
    states = {one["part"]: one["state"] for one in read["deliveries"]}
    assert states == {"post": "scheduled", "first-comment": "cancelled"}
    read = await ask(client, "PATCH", f"/posts/{made['id']}", {"first_comment": "Come in."})
    waiting = [one["part"] for one in read["deliveries"] if one["state"] == "scheduled"]
    assert sorted(waiting) == ["first-comment", "post"]


async def test_a_failed_delivery_is_tried_again_with_a_new_budget(
    client: Client, services: Services, blog: str
) -> None:
    made = await post(client)
    one = made["deliveries"][0]["id"]
    await put(services, one, state="failed", tries=6, finished_at=1, deadline_at=1, cause="down")
    read = await ask(client, "POST", f"/deliveries/{one}/retry")
    assert (read["state"], read["tries"], read["cause"]) == ("scheduled", 0, "")
    assert read["deadline"] > read["due_at"]
    assert read["finished_at"] is None


@pytest.mark.parametrize(
    "columns",
    [{"state": "unconfirmed"}, {"state": "held", "hold_reason": "unconfirmed"}],
)
async def test_what_may_be_published_is_settled_before_anything_else(
    client: Client, services: Services, blog: str, columns: dict[str, Any]
) -> None:
    other = await connect(services, "Other site")
    made = await post(client, accounts=[blog])
    one = made["deliveries"][0]["id"]
    await put(services, one, **columns)
    for action, body in (("retry", None), ("redirect", {"account_id": other})):
        problem = await ask(client, "POST", f"/deliveries/{one}/{action}", body, status=409)
        assert f"/deliveries/{one}/settle" in problem["errors"][0]["remedy"]
    seen = {"published": True, "url": "https://site.example/blog/x"}
    read = await ask(client, "POST", f"/deliveries/{one}/settle", seen)
    assert (read["state"], read["url"]) == ("delivered", seen["url"])
    problem = await ask(client, "POST", f"/deliveries/{one}/settle", seen, status=409)


async def test_what_is_not_there_is_sent_again(
    client: Client, services: Services, blog: str
) -> None:
    made = await post(client)
    one = made["deliveries"][0]["id"]
    await put(services, one, state="held", hold_reason="unconfirmed", look_at=5)
    read = await ask(client, "POST", f"/deliveries/{one}/settle", {"published": False})
    assert (read["state"], read["hold_reason"]) == ("scheduled", None)
    assert len(await _arm(services, services.clock.micros())) == 1


async def test_a_redirected_delivery_has_one_child_elsewhere(
    client: Client, services: Services, blog: str
) -> None:
    other = await connect(services, "Other site")
    made = await post(client, accounts=[blog])
    one = made["deliveries"][0]["id"]
    child = await ask(client, "POST", f"/deliveries/{one}/redirect", {"account_id": other})
    assert (child["account_id"], child["parent_id"], child["origin_id"]) == (other, one, one)
    read = await ask(client, "GET", f"/posts/{made['id']}")
    assert sorted(leg["state"] for leg in read["deliveries"]) == ["rerouted", "scheduled"]


@pytest.mark.parametrize("part", ["first-comment", "stand-in"])
async def test_what_is_not_for_everybody_is_not_sent_to_everybody_elsewhere(
    client: Client, services: Services, blog: str, part: str
) -> None:
    """The other account would have published the whole post, to those who have it, too."""
    other = await connect(services, "Second site")
    one = (await post(client, accounts=[blog]))["deliveries"][0]["id"]
    await put(services, one, state="failed", part=part)
    refused = await ask(
        client, "POST", f"/deliveries/{one}/redirect", {"account_id": other}, status=409
    )
    assert refused["errors"][0]["remedy"] == "try it again or cancel it"
    assert (await ask(client, "GET", f"/deliveries/{one}"))["state"] == "failed"


async def test_a_post_is_not_redirected_where_it_already_goes(
    client: Client, services: Services, blog: str
) -> None:
    other = await connect(services, "Other site")
    made = await post(client)
    one = next(leg["id"] for leg in made["deliveries"] if leg["account_id"] == blog)
    problem = await ask(
        client, "POST", f"/deliveries/{one}/redirect", {"account_id": other}, status=409
    )
    assert "already" in problem["detail"]
    problem = await ask(
        client, "POST", f"/deliveries/{one}/redirect", {"account_id": "none"}, status=422
    )
    assert problem["errors"][0]["field"] == "account_id"
    read = await ask(client, "GET", f"/deliveries/{one}")
    assert read["state"] == "scheduled"


async def test_every_decision_is_in_the_posts_timeline(client: Client, blog: str) -> None:
    made = await post(client)
    await ask(client, "PATCH", f"/posts/{made['id']}", {"title": "Other"})
    await ask(client, "POST", f"/posts/{made['id']}/cancel")
    timeline = await ask(client, "GET", f"/posts/{made['id']}/events")
    kinds = [event["kind"] for event in timeline["events"]]
    assert kinds == ["post.accepted", "post.changed", "delivery.cancelled", "post.cancelled"]
    assert {event["actor"] for event in timeline["events"]} == {"token:tests"}


async def test_lists_are_paged_and_filtered(client: Client, services: Services, blog: str) -> None:
    made = [await post(client, title=f"No {day}", at=f"2030-01-0{day}T09:00") for day in (1, 2, 3)]
    await ask(client, "POST", f"/posts/{made[1]['id']}/cancel")
    first = await ask(client, "GET", "/posts?limit=2&order=oldest")
    rest = await ask(client, "GET", f"/posts?limit=2&order=oldest&cursor={first['next']}")
    assert [one["title"] for one in first["posts"] + rest["posts"]] == ["No 1", "No 2", "No 3"]
    assert rest["next"] is None
    for query, titles in {
        "state=cancelled": ["No 2"],
        f"account={blog}&order=oldest": ["No 1", "No 2", "No 3"],
        "channel=facebook": [],
        "since=2030-01-02T00:00:00Z&until=2030-01-03T00:00:00Z": ["No 2"],
    }.items():
        found = await ask(client, "GET", f"/posts?{query}")
        assert [one["title"] for one in found["posts"]] == titles, query
    held = await ask(client, "GET", "/deliveries?state=scheduled&limit=1")
    more = await ask(client, "GET", f"/deliveries?state=scheduled&cursor={held['next']}")
    assert len(held["deliveries"]) == len(more["deliveries"]) == 1
    for query, field in {"limit=0": "limit", "sate=held": "sate", "cursor=x": "cursor"}.items():
        problem = await ask(client, "GET", f"/deliveries?{query}", status=422)
        assert problem["errors"][0]["field"] == field


async def test_what_does_not_exist_is_said(client: Client, blog: str) -> None:
    for method, path in (
        ("GET", "/posts/x"), ("PATCH", "/posts/x"), ("POST", "/posts/x/cancel"),
        ("POST", "/posts/x/publish"), ("GET", "/posts/x/events"), ("GET", "/deliveries/x"),
        ("POST", "/deliveries/x/retry"), ("POST", "/deliveries/x/cancel"), ("GET", "/accounts/x"),
        ("POST", "/accounts/x/resume"), ("DELETE", "/accounts/x"), ("GET", "/routes/x"),
        ("DELETE", "/routes/x"), ("GET", "/media/x"), ("DELETE", "/tokens/x"), ("GET", "/nothing"),
    ):  # fmt: skip
        body = {"title": "x"} if method == "PATCH" else None
        problem = await ask(client, method, path, body, status=404)
        assert problem["type"].endswith("not-found"), path
