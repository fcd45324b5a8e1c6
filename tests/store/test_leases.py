"""Who leads: one at a time, and never somebody who is gone."""

from scheduler.store import claims
from scheduler.store.db import Database

SECOND = 1_000_000
NOW = 1_800_000_000 * SECOND
TERM = 60 * SECOND


async def _alive(database: Database, worker: str, at: int) -> None:
    await claims.heartbeat(database, worker=worker, host="h", pid=1, started_at=at, now=at)


async def _takes(database: Database, worker: str, now: int) -> bool:
    return await claims.take_lease(
        database, "watch", worker, now=now, until=now + TERM, alive_since=now - 10 * SECOND
    )


async def test_one_leads_and_renews(database: Database) -> None:
    await _alive(database, "one", NOW)
    assert await _takes(database, "one", NOW)
    assert not await _takes(database, "two", NOW + SECOND)
    assert await _takes(database, "one", NOW + SECOND)


async def test_a_killed_leader_is_followed_as_soon_as_it_is_known_dead(database: Database) -> None:
    await _alive(database, "one", NOW)
    assert await _takes(database, "one", NOW)
    assert await _takes(database, "two", NOW + 11 * SECOND)


async def test_a_leader_that_left_in_good_order_is_followed_at_once(database: Database) -> None:
    await _alive(database, "one", NOW)
    assert await _takes(database, "one", NOW)
    await claims.retire(database, "one")
    assert await _takes(database, "two", NOW + SECOND)


async def test_a_living_leaders_term_ends(database: Database) -> None:
    await _alive(database, "one", NOW)
    assert await _takes(database, "one", NOW)
    later = NOW + TERM + SECOND
    await _alive(database, "one", later)
    assert await _takes(database, "two", later)


async def test_a_sign_of_life_from_the_future_leads_nobody(database: Database) -> None:
    """Clocks were put back by an hour, and the leader was killed."""
    before = NOW + 3600 * SECOND
    await _alive(database, "one", before)
    assert await _takes(database, "one", before)
    assert await _takes(database, "two", NOW)
