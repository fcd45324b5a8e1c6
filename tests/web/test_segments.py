"""Segments through the API."""

from __future__ import annotations

from typing import Any

import pytest

from scheduler.care import plan_b_of
from scheduler.services import Services
from tests.web.conftest import Client
from tests.web.support import FUTURE, ask, connect, post, put

VIP = {"kind": "tag", "is": "vip"}
STORY = {"name": "Move", "anchor": "2030-05-02", "posts": [
    {"title": "Soon", "body": "x"}]}  # fmt: skip


async def _segment(client: Client, **fields: Any) -> str:
    body = {"name": "VIP", "filter": VIP, **fields}
    return str((await ask(client, "POST", "/segments", body, status=201))["id"])


async def test_a_segment_is_saved_tried_changed_and_removed(client: Client) -> None:
    for name in ("ann", "bob", "cleo"):
        body = {"email": f"{name}@x.org", "tags": ["vip"] if name != "bob" else []}
        await ask(client, "POST", "/contacts", body, status=201)
    tried = await ask(client, "POST", "/segments/preview", {"filter": VIP})
    assert tried["count"] == 2
    assert [one["email"] for one in tried["contacts"]] == ["ann@x.org", "cleo@x.org"]
    segment_id = await _segment(client)
    first = await ask(client, "GET", f"/segments/{segment_id}/contacts?limit=1")
    assert [one["email"] for one in first["contacts"]] == ["ann@x.org"]
    rest = await ask(client, "GET", f"/segments/{segment_id}/contacts?after={first['next']}")
    assert [one["email"] for one in rest["contacts"]] == ["cleo@x.org"]
    others = {"filter": {"kind": "not", "of": VIP}}
    changed = await ask(client, "PATCH", f"/segments/{segment_id}", others)
    assert changed["filter"] == others["filter"]
    assert (await ask(client, "GET", f"/segments/{segment_id}/count"))["count"] == 1
    listed = await ask(client, "GET", "/segments")
    assert [(one["id"], one["name"]) for one in listed["segments"]] == [(segment_id, "VIP")]
    await ask(client, "DELETE", f"/segments/{segment_id}", status=204)
    await ask(client, "GET", f"/segments/{segment_id}", status=404)


async def test_a_filter_that_is_none_is_refused_by_field(client: Client) -> None:
    for node, field in (
        ({"kind": "tag"}, "filter.tag.is"),
        ({"kind": "all", "of": [{"kind": "written"}]}, "filter.all.of[0].written"),
        ({"kind": "list", "is": "nowhere"}, "filter"),
    ):
        body = {"name": "s", "filter": node}
        refused = await ask(client, "POST", "/segments", body, status=422)
        assert refused["errors"][0]["field"] == field, refused
    assert (await ask(client, "GET", "/segments"))["segments"] == []


async def test_a_post_names_a_segment_which_then_stays(
    client: Client, services: Services, blog: str
) -> None:
    del blog
    segment_id = await _segment(client)
    made = await post(client, to=segment_id)
    assert made["content"]["to"] == segment_id
    refused = await ask(client, "DELETE", f"/segments/{segment_id}", status=409)
    assert "“We reopen”" in refused["detail"]
    for leg in made["deliveries"]:
        await put(services, leg["id"], state="delivered")
    await ask(client, "DELETE", f"/segments/{segment_id}", status=204)


async def test_an_unknown_segment_is_refused_wherever_it_is_named(
    client: Client, blog: str
) -> None:
    del blog
    draft = {**FUTURE, "to": "nowhere"}
    made = await post(client)
    story = {**STORY, "posts": [{"title": "Soon", "body": "x", "to": "nowhere"}]}
    coming = {**story, "rule": "FREQ=YEARLY", "start": "2030-05-02"}
    del coming["anchor"]
    for method, path, body, field in (
        ("POST", "/posts", draft, "to"),
        ("POST", "/posts/preview", draft, "to"),
        ("PATCH", f"/posts/{made['id']}", {"to": "nowhere"}, "to"),
        ("POST", "/campaigns", story, "posts[0].to"),
        ("POST", "/campaigns/preview", story, "posts[0].to"),
        ("POST", "/recurrences", coming, "posts[0].to"),
    ):
        refused = await ask(client, method, path, body, status=422)
        assert [one["field"] for one in refused["errors"]] == [field], (path, refused)


async def _newsletter(services: Services, name: str) -> str:
    relays = [{"host": "127.0.0.1", "port": 9, "tls": "none"}]
    return await connect(
        services, name, "newsletter", from_address="a@x.org", publisher="Nantes", relays=relays
    )


@pytest.mark.parametrize("mode", ["digest", "at-once"])
async def test_plan_b_shows_nobody_else_what_is_for_a_segment(
    client: Client, services: Services, blog: str, mode: str
) -> None:
    letter, other = [await _newsletter(services, name) for name in ("Letter", "Other")]
    segment_id = await _segment(client)
    shared = [(await post(client, accounts=[letter], to=to))["id"] for to in (segment_id, None)]
    kinds = {"ordinary": mode}
    await ask(client, "PUT", f"/routes/{letter}", {"fallbacks": [blog, other], "kinds": kinds})
    await plan_b_of(services, "tests").move_queue(letter, "the relay is gone")
    few, everybody = [(await ask(client, "GET", f"/posts/{one}"))["deliveries"] for one in shared]
    assert [(leg["account_id"], leg["part"]) for leg in few[1:]] == [(other, "post")]
    assert [leg["account_id"] for leg in everybody[1:]] in ([blog], [])  # alone, or in a digest
    await ask(client, "PUT", f"/routes/{letter}", {"fallbacks": [blog], "kinds": kinds})
    (only,) = (await post(client, accounts=[letter], to=segment_id))["deliveries"]
    await plan_b_of(services, "tests").move_queue(letter, "the relay is gone")
    held = await ask(client, "GET", f"/deliveries/{only['id']}")
    assert held["state"] in {"held", "failed"}, held
