"""Many rows in one statement: what goes in comes out, and the token fences."""

import asyncio
from typing import Any

from sqlalchemy import JSON, BigInteger, Boolean, Column, MetaData, String, Table, Text, select

from scheduler.store.bulk import FencedUpdates, Inserts
from scheduler.store.db import Database

things = Table(
    "things",
    MetaData(),
    Column("id", String(36), primary_key=True),
    Column("token", String(36)),
    Column("number", BigInteger),
    Column("flag", Boolean, nullable=False),
    Column("words", Text),
    Column("data", JSON),
)
NAMES = ("id", "token", "number", "flag", "words", "data")
ROWS: list[list[Any]] = [
    ["a", "t1", 2**62, True, 'l\'été, "ça" 🎈 \\ {1,2} $1 ? :x', {"deep": ["é", None, 1.5]}],
    ["b", None, -1, False, "", {}],
    ["c", "t1", None, False, None, {"quote": "'\"\\"}],
]
insert = Inserts(things, NAMES)
renumber = FencedUpdates(things, ("number",), fixed="words = 'new', token = NULL", only="d.flag")


async def _filled(database: Database) -> None:
    async with database.write() as connection:
        await connection.run_sync(things.metadata.create_all)
        await insert(connection, ROWS)


async def _found(database: Database) -> list[list[Any]]:
    async with database.read() as connection:
        rows = await connection.execute(select(things).order_by(things.c.id))
        return [list(row) for row in rows]


async def test_rows_come_back_as_they_went_in(database: Database) -> None:
    await _filled(database)
    assert await _found(database) == ROWS


async def test_only_what_still_has_its_token_is_changed(database: Database) -> None:
    update = FencedUpdates(things, ("number", "data"), fixed="words = 'new', token = NULL")
    await _filled(database)
    async with database.write() as connection:
        changed = await update(
            connection,
            [
                ("a", "t1", 7, {"x": 1}),
                ("b", None, 8, {}),
                ("c", "lost", 9, {}),
                ("d", "t1", 1, {}),
            ],
        )
    assert changed == {"a", "b"}
    after = await _found(database)
    assert after[0] == ["a", None, 7, True, "new", {"x": 1}]
    assert after[1] == ["b", None, 8, False, "new", {}]
    assert after[2] == ROWS[2]


async def test_a_further_condition_holds_beside_the_token(database: Database) -> None:
    await _filled(database)
    async with database.write() as connection:
        assert await renumber(connection, [("a", "t1", 7), ("b", None, 8)]) == {"a"}
    assert [row[2] for row in await _found(database)] == [7, -1, None]


async def test_nothing_is_done_for_no_rows(database: Database) -> None:
    await _filled(database)
    async with database.write() as connection:
        await insert(connection, [])
        assert await renumber(connection, []) == set()
    assert await _found(database) == ROWS


async def test_batches_that_share_rows_in_other_orders_wait_for_each_other(
    database: Database,
) -> None:
    count = 2_000
    rows: list[list[Any]] = [[f"{n:04}", "t", n, True, "", {}] for n in range(count)]
    async with database.write() as connection:
        await connection.run_sync(things.metadata.create_all)
        await insert(connection, rows)
    keep = FencedUpdates(things, ("number",))

    async def updated(ids: list[str]) -> None:
        for number in range(20):
            async with database.write() as connection:
                assert len(await keep(connection, [(i, "t", number) for i in ids])) == count

    ids = [row[0] for row in rows]
    async with asyncio.TaskGroup() as group:
        group.create_task(updated(ids))
        group.create_task(updated(ids[::-1]))
