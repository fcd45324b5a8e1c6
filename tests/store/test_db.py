"""A database that cannot be written to for a while."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import event, insert, select, text, update
from sqlalchemy.engine import make_url

from scheduler.ending import within
from scheduler.store import claims, db, faults
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
    with closing(sqlite3.connect(path, timeout=0)) as other, other:
        other.execute("BEGIN IMMEDIATE")
    other.close()
    async with asyncio.timeout(60), database.write() as connection:
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
    with closing(sqlite3.connect(path, timeout=2)) as other, other:
        other.execute("BEGIN IMMEDIATE")
    other.close()
    async with asyncio.timeout(60), database.write() as connection:
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


async def _refused(database: Database, statement: str, value: object = None) -> Exception:
    with pytest.raises(Exception) as caught:  # noqa: PT011 -- whatever the driver raises
        async with database.write() as connection:
            await connection.execute(text(statement), {} if value is None else {"value": value})
    assert isinstance(caught.value, Exception)
    return caught.value


_BEAT = "INSERT INTO workers VALUES (:value, 'h', 1, 1, 1, false)"


@pytest.mark.parametrize(
    ("statement", "value"),
    [
        (_BEAT, object()),
        ("INSERT INTO workers (id) VALUES (:value)", "w"),
        ("UPDATE workers SET colour = :value", "blue"),
    ],
    ids=["a value of no kind", "a constraint", "a column that is not there"],
)
async def test_what_is_refused_for_good_does_not_pass(
    database: Database, statement: str, value: object
) -> None:
    assert not faults.passing(await _refused(database, statement, value))


async def test_waiting_too_long_behind_another_passes(database: Database) -> None:
    first = database.is_postgresql
    async with database.read() as late:
        await late.execute(text("SET lock_timeout = 1" if first else "PRAGMA busy_timeout = 1"))
        async with database.write() as connection:
            await connection.execute(text("LOCK TABLE workers" if first else "SELECT 1"))
            with pytest.raises(faults.StoreError) as caught:
                await late.execute(text(_BEAT), {"value": "w"})
    assert faults.passing(caught.value)


async def test_a_database_that_is_not_there_passes(tmp_path: Path) -> None:
    for url in (
        f"sqlite+aiosqlite:///{tmp_path}/nowhere/estafette.db",
        "postgresql+asyncpg://nobody@127.0.0.1:1/nothing",
    ):
        database = Database(url)
        assert faults.passing(await _refused(database, "SELECT 1"))
        await database.close()


async def test_closing_cuts_what_does_not_end_in_time(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(db, "_CLOSES_WITHIN", 0)
    database = Database(postgres_url)
    async with database.write(), database.write(), database.read():
        pass
    assert len(database._lines) == 3
    lines = list(database._lines)
    await database.close()
    assert all(line.is_closed() for line in lines)


async def test_what_is_in_use_when_all_is_closed_is_closed_when_it_comes_back(
    sqlite_url: str,
) -> None:
    """A worker tells that it leaves, is not heard in time and closes its database: the connection
    that waits for the lock stayed open, until Python's collector found it."""
    before = set(threading.enumerate())
    path = make_url(sqlite_url).database
    assert path is not None
    database = Database(sqlite_url)
    async with database.write():
        pass
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(TimeoutError):
            await within(0.01, claims.retire(database, "w"))
        await database.close()
        (ours,) = set(threading.enumerate()) - before
    retiring = asyncio.all_tasks() - {asyncio.current_task()}
    await asyncio.wait(retiring)
    await asyncio.to_thread(ours.join, 30)
    assert not ours.is_alive()
