"""Redis gone is an inconvenience that is told."""

import pytest
from redis.asyncio import Redis
from sqlalchemy import select

from scheduler import lookout as module
from scheduler.clock import Clock
from scheduler.lookout import Lookout
from scheduler.settings import Settings
from scheduler.store.alert_tables import alerts
from scheduler.store.db import Database


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ANSWER_WITHIN", 30.0)


async def _open(database: Database) -> list[str]:
    async with database.read() as connection:
        statement = select(alerts.c.kind).where(alerts.c.resolved_at.is_(None))
        return list((await connection.execute(statement)).scalars())


async def test_says_that_redis_is_gone_and_that_it_is_back(
    database: Database, redis_url: str
) -> None:
    settings = Settings(redis_url=redis_url)
    lookout = Lookout(database=database, clock=Clock(), settings=settings, url=redis_url)
    assert await lookout.answers()
    gone = Lookout(
        database=database, clock=Clock(), settings=settings, url="unix:///nowhere/redis.sock"
    )
    assert not await gone.answers()
    await gone.tell(lost=True)
    await gone.tell(lost=True)
    assert await _open(database) == ["redis.lost"]
    await lookout.tell(lost=False)
    assert await _open(database) == []


@pytest.mark.parametrize(
    ("spoil", "mend"),
    [
        pytest.param("REPLICAOF 127.0.0.1 1", "REPLICAOF NO ONE", id="a replica now"),
        pytest.param("CONFIG SET maxmemory 1", "CONFIG SET maxmemory 0", id="full"),
    ],
)
async def test_a_redis_that_takes_nothing_is_as_good_as_gone(
    database: Database, redis_url: str, spoil: str, mend: str
) -> None:
    settings = Settings(redis_url=redis_url)
    lookout = Lookout(database=database, clock=Clock(), settings=settings, url=redis_url)
    async with Redis.from_url(redis_url) as redis:
        await redis.execute_command(*spoil.split())
        try:
            assert await redis.ping()
            assert not await lookout.answers()
        finally:
            await redis.execute_command(*mend.split())
    assert await lookout.answers()
