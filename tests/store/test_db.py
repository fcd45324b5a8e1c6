"""A database that cannot be written to for a while."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import event, insert, select, update
from sqlalchemy.engine import make_url

from scheduler.store import faults
from scheduler.store.db import Database
from scheduler.store.tables import workers
from tests.support.room import room_for


def _many(first: int) -> list[dict[str, object]]:
    return [
        {
            "id": f"worker-{number}", "host": "h" * 200, "pid": 1, "started_at": 1,
            "heartbeat_at": 1, "stopping": False,
        }
        for number in range(first, first + 2000)
    ]  # fmt: skip


async def test_a_commit_that_finds_no_room_gives_the_lock_back(sqlite_url: str) -> None:
    path = make_url(sqlite_url).database
    assert path is not None
    database = Database(sqlite_url)
    async with database.write() as connection:
        await connection.execute(insert(workers), _many(0)[:1])
    wal = Path(f"{path}-wal").stat().st_size
    with pytest.raises(faults.StoreError) as caught, room_for(wal + 6000):
        async with database.write() as connection:
            await connection.execute(insert(workers), _many(1))
    assert faults.away(caught.value)
    with sqlite3.connect(path, timeout=0) as other:
        other.execute("BEGIN IMMEDIATE")
    other.close()
    async with asyncio.timeout(10), database.write() as connection:
        await connection.execute(insert(workers), _many(1))
    async with database.read() as connection:
        assert len((await connection.execute(select(workers.c.id))).all()) == 2001
    await database.close()


@pytest.mark.parametrize("statement", ["BEGIN", "SELECT", "UPDATE"])
async def test_a_write_that_is_cancelled_in_a_statement_leaves_no_lock(
    sqlite_url: str, statement: str
) -> None:
    path = make_url(sqlite_url).database
    assert path is not None
    database = Database(sqlite_url)
    async with database.write() as connection:
        await connection.execute(insert(workers), _many(0))
    asked = asyncio.Event()

    def listen(_connection: object, _cursor: object, sql: str, *_more: object) -> None:
        if sql.startswith(statement):
            asked.set()

    async def work() -> None:
        async with database.write() as connection:
            await connection.execute(select(workers))
            await connection.execute(update(workers).values(pid=2))

    event.listen(database._writing.sync_engine, "before_cursor_execute", listen)
    task = asyncio.create_task(work())
    await asked.wait()
    task.cancel()
    # Kept, as a log keeps it: what it refers to is not collected.
    (cancelled,) = await asyncio.gather(task, return_exceptions=True)
    assert isinstance(cancelled, asyncio.CancelledError)
    with sqlite3.connect(path, timeout=2) as other:
        other.execute("BEGIN IMMEDIATE")
    other.close()
    async with asyncio.timeout(10), database.write() as connection:
        await connection.execute(insert(workers), _many(2000)[:1])
    await database.close()


async def test_a_new_file_may_be_opened_by_several_at_once(tmp_path: Path) -> None:
    async def use(database: Database) -> None:
        async with database.write() as connection:
            await connection.exec_driver_sql("CREATE TABLE IF NOT EXISTS t (x)")

    for number in range(30):
        url = f"sqlite+aiosqlite:///{tmp_path / f'{number}.db'}"
        several = [Database(url) for _ in range(6)]
        await asyncio.gather(*map(use, several))
        for database in several:
            await database.close()
