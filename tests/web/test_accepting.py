"""Posts in, over HTTP: 201 means stored, anything else means that nothing is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from io import BytesIO
from typing import Any

import pytest
from sqlalchemy import func, select, text

from scheduler.services import Services
from scheduler.store import accounts
from scheduler.store.access_tables import idempotency_keys
from scheduler.store.tables import deliveries, events, posts
from scheduler.store.tokens import Scope
from tests.web.conftest import Client, token
from tests.web.support import ask, connect, post

HELLO = {"title": "We reopen", "body": "On **Monday**.", "at": "2030-01-07T09:00"}


async def count(services: Services, table: Any) -> int:
    async with services.database.read() as connection:
        found = (await connection.execute(select(func.count()).select_from(table))).scalar_one()
    return int(found)


async def test_an_accepted_post_is_stored_with_its_deliveries(
    client: Client, services: Services, blog: str
) -> None:
    answer = await client.post("/api/v1/posts", json=HELLO)
    assert answer.status == 201
    made = await answer.json()
    read = await (await client.get(answer.headers["Location"])).json()
    assert {**made, "attempts": {}} == {**read, "problems": []}
    assert read["at"] == "2030-01-07T09:00:00+01:00"
    assert read["content"]["body"] == HELLO["body"]
    (delivery,) = read["deliveries"]
    assert (delivery["account_id"], delivery["state"]) == (blog, "scheduled")
    assert delivery["due_at"] == "2030-01-07T08:00:00Z"
    assert await count(services, events) == 1


async def test_the_same_key_and_body_get_the_same_answer_and_one_post(
    client: Client, services: Services, blog: str
) -> None:
    headers = {"Idempotency-Key": "once"}
    answers = await asyncio.gather(
        *(client.post("/api/v1/posts", json=HELLO, headers=headers) for _ in range(5))
    )
    bodies = [await answer.json() for answer in answers]
    assert [answer.status for answer in answers] == [201] * 5
    assert all(body == bodies[0] for body in bodies)
    assert sum("Idempotency-Replayed" not in answer.headers for answer in answers) == 1
    assert await count(services, posts) == 1
    assert await count(services, idempotency_keys) == 1


async def test_the_same_key_with_another_body_is_refused(
    client: Client, services: Services, blog: str
) -> None:
    headers = {"Idempotency-Key": "once"}
    await client.post("/api/v1/posts", json=HELLO, headers=headers)
    answer = await client.post("/api/v1/posts", json={"body": "other"}, headers=headers)
    assert answer.status == 422
    problem = await answer.json()
    assert problem["type"].endswith("idempotency-key-reused")
    assert problem["errors"][0]["field"] == "Idempotency-Key"
    assert await count(services, posts) == 1


async def test_one_bad_post_among_many_does_not_fail_the_others(
    client: Client, services: Services, blog: str
) -> None:
    asked = [HELLO if index % 2 else {**HELLO, "channels": ["pigeon"]} for index in range(20)]
    answers = await asyncio.gather(*(client.post("/api/v1/posts", json=body) for body in asked))
    assert [answer.status for answer in answers] == [422, 201] * 10
    assert await count(services, posts) == await count(services, deliveries) == 10


BAD: list[tuple[str, dict[str, Any], int, str]] = [
    ("no body", {}, 400, "body"),
    ("empty body", {"data": b"", "headers": {"Content-Type": "application/json"}}, 400, "body"),
    ("no JSON", {"data": b"{", "headers": {"Content-Type": "application/json"}}, 400, "body"),
    ("no UTF-8", {"data": b'{"body":"\xff"}', "headers": {"Content-Type": "application/json"}},
     400, "body"),
    ("another type", {"data": "title=x"}, 415, "Content-Type"),
    ("says nothing", {"json": {}}, 422, "body"),
    ("unknown field", {"json": {**HELLO, "titel": "x"}}, 422, "titel"),
    ("unknown channel", {"json": {**HELLO, "channels": ["pigeon"]}}, 422, "channels[0]"),
    ("unknown account", {"json": {**HELLO, "accounts": ["x"]}}, 422, "accounts[0]"),
    ("no account", {"json": {**HELLO, "accounts": []}}, 422, "accounts"),
    ("unknown media", {"json": {**HELLO, "media": ["x"]}}, 422, "media[0]"),
    ("in the past", {"json": {**HELLO, "at": "2020-01-01T00:00:00Z"}}, 422, "at"),
    ("far future", {"json": {**HELLO, "at": "2206-01-01T00:00:00Z"}}, 422, "at"),
    ("no date", {"json": {**HELLO, "at": "tomorrow"}}, 422, "at"),
    ("no time of day", {"json": {**HELLO, "at": "2030-01-01"}}, 422, "at"),
    ("no such zone", {"json": {**HELLO, "zone": "Europe/Atlantis"}}, 422, "zone"),
    ("skipped hour", {"json": {**HELLO, "at": "2030-03-31T02:30"}}, 422, "at"),
    ("double hour", {"json": {**HELLO, "at": "2030-10-27T02:30"}}, 422, "at"),
    ("deadline first", {"json": {**HELLO, "deadline": "2030-01-06T09:00"}}, 422, "deadline"),
    ("long body", {"json": {"body": "x" * 200_000}}, 422, "body"),
    ("NUL", {"json": {"body": "a\x00b"}}, 422, "body"),
    ("bad link", {"json": {**HELLO, "link": "javascript:alert(1)"}}, 422, "link"),
    ("one answer", {"json": {"poll": {"question": "?", "options": ["a"]}}}, 422, "poll.options"),
    ("bad language", {"json": {**HELLO, "language": "../etc"}}, 422, "language"),
    ("a list", {"json": [HELLO]}, 422, "body"),
    ("long key", {"json": HELLO, "headers": {"Idempotency-Key": "x" * 300}}, 422,
     "Idempotency-Key"),
]  # fmt: skip


@pytest.mark.parametrize(("request_", "status", "field"), [row[1:] for row in BAD],
                         ids=[row[0] for row in BAD])  # fmt: skip
async def test_bad_input_is_told_and_nothing_is_stored(
    client: Client,
    services: Services,
    blog: str,
    capfd: pytest.CaptureFixture[str],
    request_: dict[str, Any],
    status: int,
    field: str,
) -> None:
    answer = await client.post("/api/v1/posts", **request_)
    assert answer.status == status
    assert answer.content_type == "application/problem+json"
    problem = await answer.json()
    assert problem["status"] == status
    assert field in [error["field"] for error in problem["errors"]]
    assert all(error["detail"] and error["remedy"] for error in problem["errors"])
    for table in (posts, deliveries, events, idempotency_keys):
        assert await count(services, table) == 0
    assert "Traceback" not in "".join(capfd.readouterr())


@pytest.mark.parametrize("announced", [True, False])
async def test_two_megabytes_of_text_are_refused(
    client: Client, services: Services, blog: str, *, announced: bool
) -> None:
    body = b'{"body":"' + b"x" * 2_000_000 + b'"}'

    async def in_chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(body), 100_000):
            yield body[start : start + 100_000]

    answer = await client.post(
        "/api/v1/posts",
        data=BytesIO(body) if announced else in_chunks(),
        headers={"Content-Type": "application/json"},
    )
    assert answer.status == 413
    assert "shorten" in (await answer.json())["errors"][0]["remedy"]
    assert await count(services, posts) == 0


@pytest.mark.parametrize("header", ["", "Basic eDp5", "Bearer", "Bearer est_wrong"])
async def test_without_a_valid_token_nothing_is_said(client: Client, header: str) -> None:
    answer = await client.post("/api/v1/posts", json=HELLO, headers={"Authorization": header})
    assert answer.status == 401
    assert "Bearer" in answer.headers["WWW-Authenticate"]
    assert "estafette token" in (await answer.json())["errors"][0]["remedy"]


async def test_a_token_without_the_scope_may_read_only(
    client: Client, services: Services, blog: str
) -> None:
    headers = {"Authorization": f"Bearer {await token(services, Scope.READ)}"}
    refused = await client.post("/api/v1/posts", json=HELLO, headers=headers)
    assert refused.status == 403
    assert "write" in (await refused.json())["errors"][0]["remedy"]
    assert (await client.get("/api/v1/posts/none", headers=headers)).status == 404


async def test_fold_chooses_between_the_two_readings_of_a_repeated_hour(
    client: Client, blog: str
) -> None:
    hours = []
    for fold in (0, 1):
        asked = {**HELLO, "at": "2030-10-27T02:30", "zone": "Europe/Paris", "fold": fold}
        made = await (await client.post("/api/v1/posts", json=asked)).json()
        hours.append(made["deliveries"][0]["due_at"])
    assert hours == ["2030-10-27T00:30:00Z", "2030-10-27T01:30:00Z"]


async def test_a_past_moment_is_published_now_when_the_author_says_so(
    client: Client, blog: str
) -> None:
    asked = {**HELLO, "at": "2020-01-01T00:00:00Z", "late_policy": "publish"}
    answer = await client.post("/api/v1/posts", json=asked)
    assert answer.status == 201
    made = await answer.json()
    assert made["deliveries"][0]["due_at"] == made["created_at"]


async def test_the_accounts_are_those_of_the_moment_in_which_it_is_stored(
    client: Client, services: Services, blog: str
) -> None:
    """They are read again only when one has changed."""
    other = await connect(services, "Another site")
    made = await post(client, accounts=[other])
    await ask(client, "POST", f"/posts/{made['id']}/cancel")
    async with services.database.write() as connection:
        await accounts.archive(connection, other, services.clock.micros())
    refused = await ask(client, "POST", "/posts", {**HELLO, "accounts": [other]}, status=422)
    assert "no account" in refused["errors"][0]["detail"]
    everywhere = await post(client)
    assert [leg["account_id"] for leg in everywhere["deliveries"]] == [blog]
    third = await connect(services, "A third site")
    assert (await post(client, accounts=[third]))["deliveries"]
    await ask(client, "POST", f"/accounts/{third}/pause", {})
    assert [one["code"] for one in (await post(client, accounts=[third]))["problems"]] == [
        "account-waits"
    ]


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_a_post_waits_for_who_archives_its_account_and_is_then_refused(
    client: Client, services: Services, blog: str
) -> None:
    """SQLite has one writer at a time; on PostgreSQL the two meet at the account."""
    other = await connect(services, "Another site")
    made = await post(client, accounts=[other])
    await ask(client, "POST", f"/posts/{made['id']}/cancel")
    async with services.database.write() as connection:
        await accounts.lock(connection, other)
        await accounts.archive(connection, other, services.clock.micros())
        body = {**HELLO, "accounts": [other]}
        posting = asyncio.create_task(ask(client, "POST", "/posts", body, status=422))
        waits = text("SELECT 1 FROM pg_locks WHERE NOT granted")
        async with services.database.read() as looking, asyncio.timeout(60):
            while not posting.done() and (await looking.execute(waits)).first() is None:  # noqa: ASYNC110 -- no event
                await asyncio.sleep(0.01)
    assert "no account" in (await posting)["errors"][0]["detail"]
    assert await count(services, posts) == 1


async def test_what_was_accepted_under_a_key_stays_accepted_when_it_would_be_refused_now(
    client: Client, services: Services, blog: str
) -> None:
    other = await connect(services, "Another site")
    headers = {"Idempotency-Key": "once"}
    body = {**HELLO, "accounts": [other]}
    first = await (await client.post("/api/v1/posts", json=body, headers=headers)).json()
    async with services.database.write() as connection:
        await accounts.archive(connection, other, services.clock.micros())
    again = await client.post("/api/v1/posts", json=body, headers=headers)
    assert (again.status, await again.json()) == (201, first)
    changed = await client.post("/api/v1/posts", json={**body, "title": "No"}, headers=headers)
    assert (await changed.json())["type"].endswith("idempotency-key-reused")
    assert await count(services, posts) == 1
