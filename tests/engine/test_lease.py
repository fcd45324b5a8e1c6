"""How long a killed worker's deliveries wait: a lease is no longer than it says."""

from channels.sandbox.faults import Fault, FaultName
from channels.sandbox.server import PracticeServer
from scheduler.settings import Settings
from scheduler.store.tables import accounts
from tests.engine.conftest import opened

SECOND = 1_000_000


async def test_arming_ahead_makes_no_lease_longer(
    settings: Settings, practice: PracticeServer
) -> None:
    usual = settings.model_copy(update={"lease": 30, "send_timeout": 20, "arm_ahead": 5})
    async with opened(usual, practice) as engine, engine.worker():
        post = await engine.post("facebook", seconds=4)
        (row,) = await engine.settled(post, "armed")
    assert row.lease_until <= row.updated_at + 30 * SECOND


async def test_a_send_fits_into_the_lease_however_early_it_was_armed(
    settings: Settings, practice: PracticeServer
) -> None:
    early = settings.model_copy(update={"lease": 5, "send_timeout": 4, "arm_ahead": 60})
    async with opened(early, practice) as engine, engine.worker():
        post = await engine.post("facebook", seconds=50)
        (row,) = await engine.settled(post, "armed")
    assert row.lease_until >= row.due_at + 4 * SECOND


async def test_what_waits_longer_than_a_lease_stays_its_worker_s(
    settings: Settings, practice: PracticeServer
) -> None:
    practice.platforms["facebook"].faults.add(Fault(FaultName.SLOW, seconds=0.7))
    short = settings.model_copy(update={"lease": 4, "send_timeout": 1.5})
    async with opened(short, practice) as engine:
        async with engine.services.database.write() as connection:
            await connection.execute(accounts.update().values(max_concurrent=1))
        async with engine.worker():
            posts = [await engine.post("facebook", title=f"Post {n}") for n in range(8)]
            rows = [(await engine.settled(post, "delivered"))[0] for post in posts]
    assert rows[-1].first_sent_at - rows[0].first_sent_at > 4 * SECOND
    assert [row.attempt for row in rows] == [1] * len(rows)
    assert len(engine.ledger("facebook")) == len(rows)
