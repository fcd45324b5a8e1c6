"""Statements said past SQLAlchemy belong to its transaction, and fail as its own do."""

from typing import Any

import pytest
from sqlalchemy import Executable, bindparam, select, text, update
from sqlalchemy.exc import DBAPIError

from scheduler.store.audience_tables import contacts
from scheduler.store.db import Database, among
from scheduler.store.ready import Ready, Steps, follow
from tests.support.audience import seed


def _named(*, postgresql: bool) -> Executable:
    wanted = among(contacts.c.id, "ids", postgresql=postgresql)
    return select(contacts.c.id, contacts.c.name).where(wanted).order_by(contacts.c.id)


def _rename(*, postgresql: bool) -> Executable:
    del postgresql
    return update(contacts).where(contacts.c.id == bindparam("who")).values(name=bindparam("to"))


NAMED, RENAME = Ready(_named), Ready(_rename)


@pytest.fixture
async def filled(database: Database) -> Database:
    people = [{"id": f"c{n}", "email": f"c{n}@example.org", "name": f"n{n}"} for n in range(4)]
    await seed(database, people, now=1)
    return database


async def _names(database: Database) -> list[tuple[Any, ...]]:
    async with database.read() as connection:
        found = await NAMED(connection, ids=database.packed(["c1", "c3"]))
        return [tuple(row) for row in found]


async def test_rows_come_as_asked_for(filled: Database) -> None:
    assert await _names(filled) == [("c1", "n1"), ("c3", "n3")]


async def test_what_is_written_is_committed_with_the_rest(filled: Database) -> None:
    async with filled.write() as connection:
        assert not await RENAME(connection, who="c3", to="later")
    assert await _names(filled) == [("c1", "n1"), ("c3", "later")]


async def test_the_first_statement_of_a_transaction_is_undone_with_it(filled: Database) -> None:
    async def halfway() -> None:
        async with filled.write() as connection:
            await RENAME(connection, who="c3", to="never")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await halfway()
    assert await _names(filled) == [("c1", "n1"), ("c3", "n3")]


async def test_the_drivers_errors_are_sqlalchemys(filled: Database) -> None:
    missing = Ready(lambda **_: text("SELECT nothing FROM nowhere"))
    async with filled.write() as connection:
        with pytest.raises(DBAPIError):
            await missing(connection)


async def test_steps_are_answered_one_after_the_other(filled: Database) -> None:
    def shout(who: str) -> Steps[str]:
        ((_, name),) = yield NAMED, {"ids": filled.packed([who])}
        yield RENAME, {"who": who, "to": name.upper()}
        ((_, changed),) = yield NAMED, {"ids": filled.packed([who])}
        return str(changed)

    async with filled.write() as connection:
        assert await follow(connection, shout("c3")) == "N3"
    assert await _names(filled) == [("c1", "n1"), ("c3", "N3")]


async def test_steps_that_fail_between_two_statements_leave_nothing(filled: Database) -> None:
    def half() -> Steps[None]:
        yield RENAME, {"who": "c3", "to": "never"}
        raise LookupError

    async def whole() -> None:
        async with filled.write() as connection:
            await follow(connection, half())

    with pytest.raises(LookupError):
        await whole()
    assert await _names(filled) == [("c1", "n1"), ("c3", "n3")]
