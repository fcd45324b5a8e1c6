"""Pictures, the live stream, health and metrics."""

from __future__ import annotations

import asyncio
import json
from io import BytesIO
from typing import Any

import pytest
from aiohttp import FormData
from PIL import Image
from sqlalchemy import insert, update

from scheduler.services import Services
from scheduler.store.tables import workers
from scheduler.web import readiness
from tests.web.conftest import Client
from tests.web.support import ask, post

HOUR = 3_600_000_000


def _picture() -> BytesIO:
    data = BytesIO()
    Image.new("RGB", (40, 30), "teal").save(data, "JPEG")
    data.seek(0)
    return data


async def _upload(client: Client, **parts: Any) -> tuple[int, dict[str, Any]]:
    form = FormData()
    for name, value in parts.items():
        form.add_field(name, value, filename="shop.jpg" if name == "file" else None)
    answer = await client.post("/api/v1/media", data=form)
    return answer.status, await answer.json()


async def test_an_uploaded_picture_goes_with_its_post(client: Client, blog: str) -> None:
    status, made = await _upload(client, file=_picture(), alt="The shop")
    assert (status, made["width"], made["alt"]) == (201, 40, "The shop")
    assert await ask(client, "GET", f"/media/{made['id']}") == made
    posted = await post(client, media=[made["id"]])
    assert posted["content"]["media"][0]["sha256"] == made["sha256"]
    plan = await ask(client, "POST", "/posts/preview", {"body": "x", "media": [made["id"]]})
    assert plan["deliveries"][0]["media"][0]["alt"] == "The shop"
    read = await ask(client, "PATCH", f"/posts/{posted['id']}", {"title": "Other"})
    assert read["content"]["media"] == posted["content"]["media"]


async def test_a_file_that_is_no_picture_is_refused(
    client: Client, capfd: pytest.CaptureFixture[str]
) -> None:
    for parts, field in (
        ({"file": BytesIO(b"<svg onload=alert(1)>")}, "file"),
        ({"file": BytesIO(b"")}, "file"),
        ({"picture": _picture()}, "file"),
        ({"file": _picture(), "alt": "x" * 3000}, "alt"),
    ):
        status, problem = await _upload(client, **parts)
        assert status == 422
        assert problem["errors"][0]["field"] == field
        assert problem["errors"][0]["remedy"]
    answer = await client.post("/api/v1/media", json={})
    assert answer.status == 415
    assert "Traceback" not in "".join(capfd.readouterr())


async def _next_event(content: Any) -> dict[str, Any]:
    while True:
        line = (await content.readline()).decode().strip()
        if line.startswith("data:"):
            found: dict[str, Any] = json.loads(line.removeprefix("data:"))
            return found


async def test_the_stream_tells_what_happens_and_resumes_where_it_broke(
    client: Client, blog: str
) -> None:
    before = await post(client, title="Before")
    async with client.get("/api/v1/events") as live:
        assert live.content_type == "text/event-stream"
        after = await post(client, title="After")
        event = await _next_event(live.content)
        assert (event["kind"], event["post_id"]) == ("post.accepted", after["id"])
    journal = await ask(client, "GET", "/journal")
    first = journal["events"][0]
    assert first["post_id"] == before["id"]
    async with client.get("/api/v1/events", headers={"Last-Event-ID": "0"}) as resumed:
        told = [await _next_event(resumed.content) for _ in journal["events"]]
        assert told == journal["events"]
        await ask(client, "POST", f"/posts/{before['id']}/cancel")
        assert (await _next_event(resumed.content))["kind"] == "delivery.cancelled"


async def test_a_stream_of_one_post_tells_of_no_other(client: Client, blog: str) -> None:
    mine, other = await post(client), await post(client)
    async with client.get(f"/api/v1/events?post={mine['id']}") as live:
        await ask(client, "POST", f"/posts/{other['id']}/cancel")
        await ask(client, "POST", f"/posts/{mine['id']}/cancel")
        assert (await _next_event(live.content))["post_id"] == mine["id"]


@pytest.fixture
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A database on a busy machine is not one that hangs."""
    monkeypatch.setattr(readiness, "ANSWER_WITHIN", 60.0)


@pytest.mark.usefixtures("_patient")
async def test_ready_only_while_a_worker_lives(client: Client, services: Services) -> None:
    assert (await (await client.get("/healthz")).json())["status"] == "ok"
    answer = await client.get("/readyz")
    assert answer.status == 503
    check = next(one for one in (await answer.json())["checks"] if not one["ok"])
    assert (check["name"], "estafette worker" in check["detail"]) == ("worker", True)
    now = services.clock.micros()
    async with services.database.write() as connection:
        row = {"id": "w", "host": "h", "pid": 1, "started_at": now, "heartbeat_at": now}
        await connection.execute(insert(workers), row)
    assert (await client.get("/readyz")).status == 200
    async with services.database.write() as connection:
        await connection.execute(update(workers).values(heartbeat_at=now - HOUR))
    assert (await client.get("/readyz")).status == 503


@pytest.mark.usefixtures("_patient")
async def test_who_was_heard_in_the_future_makes_nobody_ready(
    client: Client, services: Services
) -> None:
    now = services.clock.micros()
    async with services.database.write() as connection:
        row = {"id": "w", "host": "h", "pid": 1, "started_at": now, "heartbeat_at": now + HOUR}
        await connection.execute(insert(workers), row)  # and then the clock was put back
    assert (await client.get("/readyz")).status == 503
    async with services.database.write() as connection:
        await connection.execute(insert(workers), {**row, "id": "v", "heartbeat_at": now})
    assert (await client.get("/readyz")).status == 200


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
@pytest.mark.parametrize("table", ["alembic_version", "workers"])
async def test_a_database_that_hangs_is_said_not_to_answer(
    client: Client, services: Services, monkeypatch: pytest.MonkeyPatch, table: str
) -> None:
    monkeypatch.setattr(readiness, "ANSWER_WITHIN", 0.3)
    async with services.database.write() as connection:
        await connection.exec_driver_sql(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
        async with asyncio.timeout(60):
            answer = await client.get("/readyz")
            said = await answer.json()
    assert (answer.status, said["ready"]) == (503, False)
    assert "does not answer" in said["checks"][0]["detail"]


async def test_metrics_count_requests_by_route(client: Client, blog: str) -> None:
    made = await post(client)
    await ask(client, "GET", f"/posts/{made['id']}")
    text = await (await client.get("/metrics")).text()
    assert 'route="/api/v1/posts/{id}",status="200"' in text
    assert made["id"] not in text
    assert "estafette_posts_accepted_total" in text


async def test_an_unforeseen_error_is_told_by_an_id_that_the_log_has(
    client: Client, services: Services, capfd: pytest.CaptureFixture[str]
) -> None:
    async with services.database.write() as connection:
        await connection.exec_driver_sql("DROP TABLE attempts")
        await connection.exec_driver_sql("ALTER TABLE posts RENAME TO elsewhere")
    answer = await client.get("/api/v1/posts")
    assert answer.status == 500
    problem = await answer.json()
    assert "elsewhere" not in str(problem)
    assert problem["id"] in "".join(capfd.readouterr())


async def test_another_method_is_told_which_are_taken(client: Client) -> None:
    answer = await client.delete("/api/v1/posts")
    assert answer.status == 405
    assert "POST" in answer.headers["Allow"]
    assert "POST" in (await answer.json())["errors"][0]["remedy"]


@pytest.mark.parametrize(
    "path",
    ["/letters/{}", "/letters/a/{}", "/signup/{}", "/blog/{}", "/posts/{}", "/api/v1/posts/{}",
     "/api/v1/segments/{}", "/api/v1/deliveries/{}/mailing"],
)  # fmt: skip
async def test_a_character_that_no_database_stores_is_in_no_address(
    client: Client, path: str
) -> None:
    answer = await client.get(path.format("%00"))
    assert answer.status == 404


async def test_a_character_that_no_database_stores_is_refused_by_name(client: Client) -> None:
    answer = await client.get("/api/v1/contacts", params={"email": "a\0b"})
    assert answer.status == 422
    assert (await answer.json())["errors"][0]["field"] == "email"
