"""Statements in one trip each to SQLite's thread."""

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select, text, update
from sqlalchemy.exc import IntegrityError, OperationalError

from scheduler.store import db, driver
from scheduler.store.audience_tables import contacts
from scheduler.store.db import Database
from scheduler.store.migrate import migrate


@pytest.fixture
async def sqlite(tmp_path: Path) -> Database:
    database = Database(f"sqlite+aiosqlite:///{tmp_path / 'd.db'}")
    await migrate(database)
    return database


def _person(number: int) -> dict[str, object]:
    return {
        "id": f"c{number}", "email": f"r{number}@example.org", "name": "é", "language": "fr",
        "attributes": {"n": number}, "tags": [], "created_at": number, "updated_at": 0,
    }  # fmt: skip


async def test_rows_counts_and_errors_come_back_as_they_are(sqlite: Database) -> None:
    async with sqlite.write() as connection:
        await connection.execute(insert(contacts), [_person(n) for n in range(300)])
        changed = await connection.execute(
            update(contacts).where(contacts.c.created_at < 7).values(name="a")
        )
        assert changed.rowcount == 7
        gone = await connection.execute(
            contacts.delete().where(contacts.c.id == "c9").returning(contacts.c.attributes)
        )
        assert gone.scalar_one() == {"n": 9}
    async with sqlite.read() as connection:
        rows = (await connection.execute(select(contacts.c.id, contacts.c.name))).all()
        assert len(rows) == 299
        assert {row.name for row in rows} == {"a", "é"}
        none = await connection.execute(select(contacts.c.id).where(contacts.c.id == "no"))
        assert none.first() is None
        with pytest.raises(OperationalError, match="no such table"):
            await connection.execute(text("SELECT 1 FROM nowhere"))
    with pytest.raises(IntegrityError):
        async with sqlite.write() as connection:
            await connection.execute(insert(contacts), [_person(1)])
    await sqlite.close()


async def test_a_statement_goes_once_to_the_thread(
    sqlite: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    trips: list[object] = []
    execute: Any = driver.Connection._execute

    async def counted(self: driver.Connection, fn: object, *args: object, **more: object) -> object:
        trips.append(fn)
        return await execute(self, fn, *args, **more)

    async with sqlite.read() as connection:
        monkeypatch.setattr(driver.Connection, "_execute", counted)
        assert (await connection.execute(select(contacts.c.id))).all() == []
        assert len(trips) == 1
        monkeypatch.undo()
    await sqlite.close()


async def test_an_abandoned_read_keeps_nobody_from_writing(sqlite: Database) -> None:
    slow = text(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300000)"
        " SELECT i FROM n"
    )
    async with sqlite.read() as connection:
        reading = asyncio.create_task(connection.execute(slow))
        await asyncio.sleep(0)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
    async with sqlite.write() as connection:
        await connection.execute(insert(contacts), [_person(1)])
    await sqlite.close()


async def test_closing_waits_for_no_thread_that_has_ended() -> None:
    """SQLAlchemy stops a connection that a cancelled task is closing."""
    connection = await driver.connect(":memory:")
    busy = threading.Event()
    held: Any = connection._execute
    at_work = asyncio.create_task(held(busy.wait))
    await asyncio.sleep(0)
    closing = asyncio.create_task(connection.close())
    await asyncio.sleep(0)
    connection.stop()
    closing.cancel()
    busy.set()
    await asyncio.wait([at_work, closing], timeout=60)
    assert closing.done()


def test_the_thread_outlives_a_loop_that_closes_while_it_works() -> None:
    busy = threading.Event()
    kept: list[driver.Connection] = []

    async def leave_it_working() -> None:
        connection = driver.connect(":memory:")
        kept.append(connection)
        await connection
        run: Any = connection._execute
        working = asyncio.create_task(run(busy.wait))
        await asyncio.sleep(0)
        working.cancel()
        connection.stop()

    asyncio.run(leave_it_working())
    busy.set()
    kept[0]._thread.join(30)
    assert not kept[0]._thread.is_alive()
    with pytest.raises(ValueError, match="no active connection"):
        _ = kept[0]._conn


async def test_closing_waits_for_a_slow_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else SQLite's thread goes on beside whoever opens, copies or removes the file next."""
    monkeypatch.setattr(db, "_CLOSES_WITHIN", 0)
    database = Database(f"sqlite+aiosqlite:///{tmp_path / 'd.db'}")
    before = set(threading.enumerate())
    async with database.write() as connection:
        await connection.execute(text("CREATE TABLE a (b)"))
    (ours,) = set(threading.enumerate()) - before
    await database.close()
    ours.join(30)
    assert not ours.is_alive()
