"""What the API says when nothing can be stored."""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from scheduler.services import Services, open_services
from scheduler.settings import Settings
from scheduler.web.app import create_app
from tests.web.conftest import Client


def refused(status: int, headers: Any, problem: dict[str, Any], word: str) -> None:
    assert status == 503, problem
    assert int(headers["Retry-After"]) > 0
    assert word in problem["detail"]
    (error,) = problem["errors"]
    assert "Idempotency-Key" in error["remedy"]


@contextmanager
def full_database() -> Iterator[None]:
    """SQLite may not grow any more: the error is that of a full disk."""
    connect = sqlite3.connect

    def limited(*args: Any, **options: Any) -> sqlite3.Connection:
        made: sqlite3.Connection = connect(*args, **options)
        made.execute("PRAGMA max_page_count = 1")
        return made

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sqlite3, "connect", limited)
        yield


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_full_disk_is_told_with_its_remedy_and_nothing_is_stored(
    client: Client, blog: str
) -> None:
    body = {"title": "We reopen", "body": "x" * 20_000, "accounts": [blog]}
    stored = 0
    with full_database():
        for _ in range(100):
            answer = await client.post("/api/v1/posts", json=body)
            if answer.status != 201:
                break
            stored += 1
    problem = await answer.json()
    refused(answer.status, answer.headers, problem, "disk is full")
    assert problem["errors"][0]["remedy"].startswith("make room")
    listed = await (await client.get("/api/v1/posts", params={"limit": 100})).json()
    assert len(listed["posts"]) == stored


@pytest.mark.parametrize(
    "url",
    [
        "postgresql+asyncpg://someone@/estafette?host=/nowhere",
        "postgresql+asyncpg://someone@127.0.0.1:1/estafette",
    ],
)
async def test_a_database_that_does_not_answer_is_told(url: str, tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, database_url=url, redis_url="none")
    headers = {"Authorization": f"Bearer est_{uuid.uuid4().hex}"}
    async with (
        open_services(settings) as services,
        TestClient(TestServer(create_app(services)), headers=headers) as client,
    ):
        answer = await client.post("/api/v1/posts", json={"title": "x", "body": "x"})
        refused(answer.status, answer.headers, await answer.json(), "does not answer")


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_statement_that_is_wrong_is_our_fault(
    client: Client, services: Services, blog: str
) -> None:
    async with services.database.write() as connection:
        await connection.exec_driver_sql("ALTER TABLE events RENAME COLUMN data TO details")
    answer = await client.post("/api/v1/posts", json={"title": "x", "body": "x"})
    assert answer.status == 500
