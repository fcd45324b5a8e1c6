"""A copy of each database brings back what it held, and PostgreSQL's password stays unseen."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url

from scheduler.store.backup import BackupError, _libpq, copy_in, copy_out
from scheduler.store.db import Database
from tests.support.servers import Postgres


async def leases(url: str) -> list[str]:
    database = Database(url)
    async with database.read() as connection:
        found = (await connection.execute(text("SELECT name FROM leases"))).scalars().all()
    await database.close()
    return list(found)


async def write_lease(url: str, name: str) -> None:
    database = Database(url)
    async with database.write() as connection:
        insert = text("INSERT INTO leases (name, holder, expires_at) VALUES (:name, 'x', 1)")
        await connection.execute(insert, {"name": name})
    await database.close()


async def test_what_was_written_since_the_copy_is_gone_after_it_came_back(
    database_url: str, postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{postgres.binaries}{os.pathsep}{os.environ['PATH']}")
    copy = tmp_path / "copy"
    await write_lease(database_url, "before")
    copy_out(database_url, copy)
    await write_lease(database_url, "after")
    copy_in(database_url, copy)
    assert await leases(database_url) == ["before"]


def test_programs_that_are_missing_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BackupError, match="apt install postgresql-client"):
        copy_out("postgresql+asyncpg://u:p@db/name", tmp_path / "copy")


def test_the_password_goes_by_the_environment() -> None:
    found = _libpq(make_url("postgresql+asyncpg://u:s3cret@db.example.org:5433/name"))
    assert found == {
        "PGHOST": "db.example.org",
        "PGPORT": "5433",
        "PGUSER": "u",
        "PGPASSWORD": "s3cret",
        "PGDATABASE": "name",
    }
