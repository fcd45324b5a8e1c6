"""Whom a filter means, on both databases."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError
from sqlalchemy import insert

from channels.base import Broadcasts
from channels.outcome import Rejected
from channels.posts import Message
from scheduler.audience.filters import (
    BoundedFilter,
    asleep,
    lists_named,
    parse,
    to_json,
)
from scheduler.clock import Clock
from scheduler.deliveries import Delivery
from scheduler.mailing import Mailing
from scheduler.roster import Member
from scheduler.store import segments
from scheduler.store.audience_tables import consents, contacts, lists, memberships
from scheduler.store.choosing import choose
from scheduler.store.db import Database
from scheduler.store.tables import posts
from tests.support.audience import ACCOUNT, DELIVERY, seed, states

DAY = 86_400_000_000
NOW = 1_800_000_000_000_000  # 2027-01-15
MONTH = 31 * DAY
PEOPLE: list[dict[str, Any]] = [
    {"id": "ann", "language": "fr", "tags": ["vip", "presse"], "contacted_at": NOW - DAY,
     "attributes": {"ville": "Nantes", "age": "41", "né_le": "1985-04-02"}},
    {"id": "bob", "language": "fr-CA", "tags": [], "contacted_at": NOW - 14 * MONTH,
     "attributes": {"ville": "Saint-Nazaire", "age": "7"}},
    {"id": "cleo", "language": "", "tags": ["vip "], "contacted_at": None,
     "attributes": {"age": "forty", "né_le": "soon"}},
    {"id": "dan", "language": "en", "tags": ["vip"], "contacted_at": NOW - 30 * MONTH,
     "created_at": NOW - 40 * MONTH, "attributes": {"ville": 'O"Brien\'s 100%', "age": "12.5"}},
]  # fmt: skip


@pytest.fixture
async def people(database: Database) -> None:
    """Four readers: dan confirmed lately, bob long ago, cleo left the second list."""
    rows = [
        {"email": f"{one['id']}@x.org", "name": "", "created_at": NOW - MONTH, "updated_at": NOW}
        | one
        for one in PEOPLE
    ]
    since = {"ann": NOW - DAY, "bob": NOW - 20 * MONTH, "cleo": NOW - DAY, "dan": NOW - 3 * MONTH}
    async with database.write() as connection:
        await connection.execute(
            insert(lists),
            [{"id": one, "name": one, "language": "", "created_at": 0} for one in ("l1", "l2")],
        )
        await connection.execute(insert(contacts), [r | {"heard_at": None} for r in rows])
        await connection.execute(
            insert(memberships),
            [
                {"list_id": "l1", "contact_id": one, "state": "subscribed", "since": at}
                for one, at in since.items()
            ]
            + [{"list_id": "l2", "contact_id": "cleo", "state": "unsubscribed", "since": NOW}],
        )
        await connection.execute(
            insert(consents),
            [
                {
                    "contact_id": one,
                    "list_id": "l1",
                    "action": "subscribe",
                    "at": at,
                    "confirmed_at": at,
                }
                for one, at in (
                    ("bob", NOW - 20 * MONTH),
                    ("dan", NOW - 30 * MONTH),
                    ("dan", NOW - MONTH),
                )
            ],
        )


async def _meant(database: Database, node: Any, list_id: str | None = None) -> list[str]:
    wanted = parse(node)
    async with database.read() as connection:
        rows = await segments.members(
            database, connection, wanted, list_id=list_id, after=None, limit=100, now=NOW
        )
        counted = await segments.count(database, connection, wanted, list_id=list_id, now=NOW)
    assert counted == len(rows)
    return [row["id"] for row in rows]


def _attribute(name: str, test: str, value: str = "") -> dict[str, str]:
    said = {"kind": "attribute", "name": name, "test": test}
    return said | ({"value": value} if value else {})


CASES: list[tuple[dict[str, Any], list[str]]] = [
    ({"kind": "language", "is": "FR"}, ["ann", "bob"]),
    ({"kind": "language", "is": "fr-ca"}, ["bob"]),
    ({"kind": "language", "is": ""}, ["cleo"]),
    ({"kind": "tag", "is": "vip"}, ["ann", "dan"]),
    ({"kind": "tag", "is": "vi%"}, []),
    ({"kind": "list", "is": "l1"}, ["ann", "bob", "cleo", "dan"]),
    ({"kind": "list", "is": "l2"}, []),
    (_attribute("ville", "is", "nantes"), ["ann"]),
    (_attribute("ville", "contains", "naz"), ["bob"]),
    (_attribute("ville", "contains", "%"), ["dan"]),
    (_attribute("ville", "is", "O\"Brien's 100%"), ["dan"]),
    (_attribute("ville", "known"), ["ann", "bob", "dan"]),
    (_attribute("age", "more", "8"), ["ann", "dan"]),
    (_attribute("age", "less", "12.5"), ["bob"]),
    (_attribute("né_le", "less", "1990-01-01"), ["ann"]),
    (_attribute("né_le", "more", "1990-01-01"), []),
    ({"kind": "not", "of": _attribute("age", "more", "8")}, ["bob", "cleo"]),
    ({"kind": "written", "not_for_months": 12}, ["bob", "cleo", "dan"]),
    ({"kind": "confirmed", "not_for_months": 12}, ["ann", "bob", "cleo"]),
    ({"kind": "written", "before": "2026-06-01T00:00:00Z"}, ["bob", "dan"]),
    ({"kind": "written", "after": "2026-06-01T00:00:00Z"}, ["ann"]),
    ({"kind": "subscribed", "before": "2026-12-01T00:00:00Z", "list": "l1"}, ["bob", "dan"]),
    ({"kind": "subscribed", "after": "2026-12-01T00:00:00Z", "list": "l2"}, []),
    ({"kind": "created", "not_for_months": 12}, ["dan"]),
    ({"kind": "heard", "not_for_months": 1}, ["ann", "bob", "cleo", "dan"]),
    ({"kind": "any", "of": [{"kind": "language", "is": "en"}, _attribute("age", "is", "forty")]},
     ["cleo", "dan"]),
    ({"kind": "all", "of": [{"kind": "tag", "is": "vip"}, {"kind": "not", "of":
     {"kind": "language", "is": "fr"}}]}, ["dan"]),
    (to_json(asleep(12)), ["bob", "cleo"]),
]  # fmt: skip


@pytest.mark.usefixtures("people")
async def test_each_condition_means_whom_it_says(database: Database) -> None:
    for node, wanted in CASES:
        assert await _meant(database, node) == wanted, node
        inverse = await _meant(database, {"kind": "not", "of": node})
        assert sorted(inverse + wanted) == ["ann", "bob", "cleo", "dan"], node
    assert await _meant(database, {"kind": "heard", "not_for_months": 1}, "l2") == []


@pytest.mark.parametrize(
    "node",
    [
        {"kind": "tag"},
        {"kind": "sql", "is": "1=1"},
        {"kind": "tag", "is": "a\x00"},
        {"kind": "all", "of": []},
        {"kind": "attribute", "name": "a b", "test": "known"},
        {"kind": "attribute", "name": "a", "test": "more", "value": "tall"},
        {"kind": "attribute", "name": "a", "test": "is"},
        {"kind": "written"},
        {"kind": "written", "before": "2026-06-01T00:00:00"},
        {"kind": "written", "not_for_months": 1, "after": "2026-06-01T00:00:00Z"},
        {"kind": "written", "not_for_months": 1, "list": "l1"},
        {"kind": "any", "of": [{"kind": "tag", "is": "x"}] * 100},
    ],
)
def test_what_is_no_filter_is_refused(node: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(BoundedFilter).validate_python(node)


def test_a_filter_that_is_too_deep_is_refused() -> None:
    node: dict[str, Any] = {"kind": "tag", "is": "x"}
    for _ in range(8):
        node = {"kind": "not", "of": node}
    with pytest.raises(ValidationError, match="8 at most"):
        TypeAdapter(BoundedFilter).validate_python(node)


def test_a_filter_comes_back_as_it_was_and_names_its_lists() -> None:
    node = {"kind": "any", "of": [{"kind": "not", "of": {"kind": "list", "is": "l1"}},
            {"kind": "confirmed", "list": "l2", "before": "2026-06-01T00:00:00Z"}]}  # fmt: skip
    assert to_json(parse(node)) == node
    assert lists_named(parse(node)) == {"l1", "l2"}


async def _for_segment(database: Database, node: dict[str, Any]) -> str:
    async with database.write() as connection:
        segment_id = await segments.create(connection, {"name": "s", "filter": node}, now=NOW)
        await connection.execute(posts.update().values(content={"to": segment_id}))
    return segment_id


async def _freeze(database: Database) -> dict[str, str]:
    async with database.write() as connection:
        await choose(
            database, connection, delivery_id=DELIVERY, account_id=ACCOUNT, by_email=True,
            now=NOW, at_once=5000,
        )  # fmt: skip
    return await states(database)


async def test_the_segment_is_worked_out_when_recipients_are_frozen(database: Database) -> None:
    readers = [{"id": f"r{n}", "email": f"r{n}@x.org", "tags": ["a"] * (n % 2)} for n in range(6)]
    await seed(database, readers, now=NOW)
    segment_id = await _for_segment(database, {"kind": "tag", "is": "a"})
    async with database.write() as connection:
        await connection.execute(
            contacts.update().where(contacts.c.id == "r2").values(tags=["a", "b"])
        )
        assert await segments.used_by(database, connection, segment_id, limit=9) == ["t"]
    assert set(await _freeze(database)) == {"r1", "r2", "r3", "r5"}


async def test_a_lost_segment_reaches_nobody_instead_of_everybody(database: Database) -> None:
    delivery = await seed(database, [{"id": "r1", "email": "r1@x.org"}], now=NOW)
    segment_id = await _for_segment(database, {"kind": "tag", "is": "a"})
    async with database.write() as connection:
        await segments.remove(connection, segment_id)

    async def run(delivery: Delivery, message: Message, member: Member, channel: Broadcasts) -> Any:
        return await _freeze(database)

    nothing: Any = None
    mailing = Mailing(broadcast=run, database=database, clock=Clock(), public_url="", key=b"k")
    outcome = await mailing(delivery, nothing, nothing, nothing)
    assert isinstance(outcome, Rejected)
    assert outcome.problem.code == "segment-gone"
    assert await states(database) == {}
