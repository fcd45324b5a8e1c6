"""Recurrences over HTTP."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, select

from scheduler.services import Services
from scheduler.store.campaign_tables import campaigns, recurrences
from tests.web.conftest import Client


def weekly(**change: Any) -> dict[str, Any]:
    start = (datetime.now(UTC) + timedelta(days=2)).replace(hour=9, minute=0)
    return {
        "name": "The menu",
        "rule": "FREQ=WEEKLY;COUNT=3",
        "start": start.strftime("%Y-%m-%dT%H:%M"),
        "posts": [{"body": "The menu of {{day}}"}],
        **change,
    }


async def count(services: Services, table: Any) -> int:
    async with services.database.read() as connection:
        return int((await connection.execute(select(func.count()).select_from(table))).scalar_one())


async def test_created_once_read_skipped_and_ended(
    client: Client, services: Services, blog: str
) -> None:
    headers = {"Idempotency-Key": "once"}
    body = weekly()
    answers = await asyncio.gather(
        *(client.post("/api/v1/recurrences", json=body, headers=headers) for _ in range(3))
    )
    assert [answer.status for answer in answers] == [201] * 3
    made = [await answer.json() for answer in answers]
    assert made[0] == made[1] == made[2]
    assert await count(services, recurrences) == 1
    assert await count(services, campaigns) == 3
    path = answers[0].headers["Location"]
    read = await (await client.get(path)).json()
    assert read["next"] == made[0]["next"]
    assert len(read["next"]) == 3
    listed = await (await client.get("/api/v1/recurrences")).json()
    assert [one["id"] for one in listed["recurrences"]] == [read["id"]]
    its = await (await client.get("/api/v1/campaigns", params={"recurrence": read["id"]})).json()
    assert {one["occurrence"] for one in its["campaigns"]} == {at[:16] for at in read["next"]}

    day = read["next"][1][:10]
    skipped = await (await client.post(f"{path}/skip", json={"occurrence": day})).json()
    assert skipped["exceptions"] == [day]
    assert skipped["next"] == [read["next"][0], read["next"][2]]
    ended = await (await client.post(f"{path}/end", json={})).json()
    assert ended["ended_at"]
    assert ended["next"] == []
    assert (await client.post(f"{path}/end", json={})).status == 409


async def test_a_preview_stores_nothing(client: Client, services: Services, blog: str) -> None:
    answer = await client.post("/api/v1/recurrences/preview", json=weekly())
    assert len((await answer.json())["next"]) == 3
    assert await count(services, recurrences) == 0


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"rule": "FREQ=WEEKLY;INTERVAL=0"}, "rule"),
        ({"start": "soon"}, "start"),
        ({"exceptions": ["2027-13-01"]}, "exceptions[0]"),
        ({"posts": []}, "body"),
        ({"rythm": "x"}, "rythm"),
    ],
)
async def test_what_is_wrong_is_named(
    client: Client, services: Services, blog: str, change: Any, field: str
) -> None:
    answer = await client.post("/api/v1/recurrences", json=weekly(**change))
    assert answer.status == 422
    assert (await answer.json())["errors"][0]["field"] == field
    assert await count(services, recurrences) == 0


@pytest.mark.parametrize(("method", "path"), [("GET", ""), ("POST", "/end"), ("POST", "/skip")])
async def test_there_is_no_such_recurrence(client: Client, method: str, path: str) -> None:
    bodies = {"": None, "/end": {}, "/skip": {"occurrence": "2030-01-01"}}
    answer = await client.request(method, f"/api/v1/recurrences/none{path}", json=bodies[path])
    assert answer.status == 404
