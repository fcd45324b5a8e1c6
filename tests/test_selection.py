"""Who gets a broadcast is chosen in steps: each once, whatever happens between two of them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from random import Random
from types import SimpleNamespace

import pytest
from sqlalchemy import Table, delete, insert, select, update

from channels.outcome import Outcome, Unavailable
from channels.posts import Part
from channels.streams import Rates
from scheduler import selection
from scheduler.clerk import Clerk
from scheduler.clock import Clock
from scheduler.deliveries import Delivery, State
from scheduler.gate import Gate
from scheduler.selection import choose_all
from scheduler.store import mailings, segments, stand_ins, turns
from scheduler.store.audience_tables import addresses, contacts, memberships, recipients
from scheduler.store.choosing import choose
from scheduler.store.db import Connection, Database
from scheduler.store.recipients import tally
from scheduler.store.tables import accounts, deliveries, posts
from scheduler.verdicts import Pace
from tests.support.audience import ACCOUNT, DELIVERY, seed, states, take_over

NOW = 1_800_000_000_000_000
EARLY, LATE = 1, 3_000_000_000_000_000
EVERYONE = [f"c{number:02}" for number in range(12)]
Rest = Callable[[float], Awaitable[object]]


async def _seed(database: Database) -> Delivery:
    readers = [{"id": one, "email": f"{one}@x.org", "tags": ["a"]} for one in EVERYONE]
    return await seed(database, readers, now=NOW)


async def _choose(
    database: Database, delivery: Delivery, rest: Rest = asyncio.sleep, *, by_email: bool = True
) -> Outcome | None:
    assert delivery.token is not None
    clerk = Clerk(
        database=database, gate=Gate(database, Rates(), Pace(), Random()), delivery_id=delivery.id,
        token=delivery.token, list_id=ACCOUNT, key=b"k",
    )  # fmt: skip
    return await choose_all(
        clerk, Clock(), delivery, account_id=ACCOUNT, by_email=by_email, at_once=3, rest=rest
    )


async def _step(database: Database, connection: Connection, *, by_email: bool = True) -> bool:
    return await choose(
        database, connection, delivery_id=DELIVERY, account_id=ACCOUNT, by_email=by_email,
        now=NOW, at_once=3,
    )  # fmt: skip


async def _join(connection: Connection, contact_id: str, since: int) -> None:
    row = {"name": "", "language": "", "attributes": {}, "tags": [], "created_at": 0}
    await connection.execute(
        insert(contacts).values(id=contact_id, email=f"{contact_id}@x.org", updated_at=0, **row)
    )
    await connection.execute(
        insert(memberships).values(
            list_id=ACCOUNT, contact_id=contact_id, state="subscribed", since=since
        )
    )


async def _copy(connection: Connection, table: Table, row_id: str, **changes: str) -> None:
    found = await connection.execute(select(table).where(table.c.id == row_id))
    await connection.execute(insert(table).values(dict(found.mappings().one()) | changes))


async def test_after_a_kill_the_next_run_goes_on_and_chooses_everyone_once(
    database: Database,
) -> None:
    delivery = await _seed(database)
    async with database.write() as connection:
        assert not await _step(database, connection)
    with pytest.raises(InterruptedError):
        await _dies_in_mid_step(database)
    assert sorted(await states(database)) == ["", *EVERYONE[:3]]

    await take_over(database, "token-2")
    steps: list[int] = []

    async def count(_seconds: float) -> None:
        steps.append(len(await states(database)))

    assert await _choose(database, replace(delivery, token="token-2"), count) is None
    assert steps == [7, 10, 13]
    assert await states(database) == dict.fromkeys(EVERYONE, "pending")


async def _dies_in_mid_step(database: Database) -> None:
    async with database.write() as connection:
        assert not await _step(database, connection)
        raise InterruptedError


async def test_the_writes_of_others_get_through_between_two_steps(
    database: Database,
) -> None:
    delivery = await _seed(database)
    other = Database(database.url)
    written: list[int] = []

    async def write(_seconds: float) -> None:
        async with asyncio.timeout(60), other.write() as connection:
            await connection.execute(update(posts).values(title=f"{len(written)}"))
        written.append(len(await states(database)))

    assert await _choose(database, delivery, write) is None
    assert written == [4, 7, 10, 13]
    await other.close()


async def test_it_rests_half_as_long_as_it_held_the_database(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And not before that is long enough for who waits to look so often."""
    delivery = await _seed(database)
    moments = iter(range(0, 10_000, 20))  # a step takes 20 ms
    clock = SimpleNamespace(monotonic=lambda: next(moments) / 1000)
    monkeypatch.setattr(selection, "time", clock)
    rests: list[float] = []

    async def rest(seconds: float) -> None:
        rests.append(round(seconds, 6))

    assert await _choose(database, delivery, rest) is None
    assert rests == [0, 0, 0.03, 0]


async def test_nobody_has_a_turn_or_is_shown_before_everyone_is_chosen(database: Database) -> None:
    await _seed(database)
    async with database.write() as connection:
        await _step(database, connection)
        await connection.execute(delete(recipients).where(recipients.c.contact_id != ""))
        claimed = await turns.claim(
            database, connection, delivery_id=DELIVERY, token="t", list_id=None, now=LATE, limit=9
        )
        assert claimed == []
        assert await tally(connection, DELIVERY) == {}
        shown = await mailings.recipients_of(connection, DELIVERY, state=None, after=None, limit=9)
        assert list(shown) == []


async def test_who_comes_while_others_are_chosen_comes_too_late_wherever_they_stand(
    database: Database,
) -> None:
    delivery = await _seed(database)
    came: list[str] = []

    async def join(_seconds: float) -> None:
        if not came:
            came.append("zz")
            async with database.write() as connection:
                await _join(connection, "zz", LATE)
                await _join(connection, "zy", EARLY)

    assert await _choose(database, delivery, join) is None
    assert sorted(await states(database)) == [*EVERYONE, "zy"]


async def test_a_segment_that_is_changed_or_lost_meanwhile_stays_what_it_was(
    database: Database,
) -> None:
    delivery = await _seed(database)
    async with database.write() as connection:
        node = {"kind": "tag", "is": "a"}
        segment_id = await segments.create(connection, {"name": "s", "filter": node}, now=NOW)
        await connection.execute(update(posts).values(content={"to": segment_id}))
        some = contacts.c.id.in_(EVERYONE[5:7])
        await connection.execute(update(contacts).where(some).values(tags=[]))
        await _step(database, connection)
        await segments.remove(connection, segment_id)
    assert await _choose(database, delivery) is None
    assert sorted(await states(database)) == [*EVERYONE[:5], *EVERYONE[7:]]


async def test_a_run_that_lost_its_claim_chooses_nobody_more(database: Database) -> None:
    delivery = await _seed(database)

    async def lose(_seconds: float) -> None:
        await take_over(database, "somebody-else")

    assert isinstance(await _choose(database, delivery, lose), Unavailable)
    assert sorted(await states(database)) == ["", *EVERYONE[:3]]


async def test_who_has_several_addresses_is_chosen_once(database: Database) -> None:
    delivery = await _seed(database)
    row = {"channel": "messenger", "account_id": ACCOUNT, "created_at": EARLY}
    rows = [
        {"id": f"{one}-{way}", "contact_id": one, "address": f"{one}-{way}", **row}
        for one in EVERYONE
        for way in "ab"
    ]
    late = [{**rows[-1], "id": "late", "address": "late", "contact_id": "zz", "created_at": LATE}]
    async with database.write() as connection:
        await _join(connection, "zz", EARLY)
        await connection.execute(insert(addresses), rows + late)
    assert await _choose(database, delivery, by_email=False) is None
    assert await states(database) == dict.fromkeys(EVERYONE, "pending")


async def test_who_joins_too_late_for_the_other_delivery_is_not_taken_for_its_reader(
    database: Database,
) -> None:
    """Readers whom one channel cannot reach, while the mailing of the same post chooses its own."""
    await _seed(database)
    messenger = Delivery(
        id="d2", post_id="post-1", account_id="messenger", state=State.SENDING, due_at=NOW,
        planned_at=NOW, token="t",
    )  # fmt: skip
    async with database.write() as connection:
        await _copy(connection, accounts, ACCOUNT, id="messenger")
        await _copy(connection, deliveries, DELIVERY, id="d2", account_id="messenger")
        await _step(database, connection)
        await _join(connection, "zz", LATE)
        await connection.execute(
            insert(recipients),
            [
                {"delivery_id": "d2", "contact_id": one, "address": one, "state": "unreached",
                 "updated_at": NOW}
                for one in ("c01", "c11", "zz")
            ],
        )  # fmt: skip
        carriers = await stand_ins.carriers(connection, messenger)
        assert carriers == [ACCOUNT]  # it has not chosen all of its readers
        assert await stand_ins.note_covered(connection, messenger, carriers, now=NOW) == 2
        while not await _step(database, connection):
            pass
        assert await stand_ins.carriers(connection, messenger) == []


async def test_who_gets_it_by_a_stand_in_is_not_chosen(database: Database) -> None:
    delivery = await _seed(database)
    async with database.write() as connection:
        await _copy(connection, deliveries, DELIVERY, id="d3", part=Part.STAND_IN)
        gets = {"delivery_id": "d3", "contact_id": "c05", "address": "a", "updated_at": NOW}
        await connection.execute(insert(recipients).values(state="accepted", **gets))
    assert await _choose(database, delivery) is None
    chosen = await states(database)
    assert chosen.pop("c05") == "accepted"
    assert sorted(chosen) == [one for one in EVERYONE if one != "c05"]
