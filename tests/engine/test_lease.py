"""How long a killed worker's deliveries wait: a lease is no longer than it says."""

from channels.sandbox.server import PracticeServer
from scheduler.settings import Settings
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
