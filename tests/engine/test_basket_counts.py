"""What accounts carried in ninety days: counted anew now and then, and gone on from meanwhile."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import insert

from scheduler.care import scales_of
from scheduler.clock import Clock
from scheduler.foresight import DAY
from scheduler.store.tables import deliveries
from scheduler.weighing import KEPT, PERIOD, RECENT, Scales
from tests.engine.conftest import Engine


class Standing(Clock):
    """Stands where it is put."""

    def __init__(self, at: int) -> None:
        super().__init__()
        self.at = at

    def micros(self) -> int:
        return self.at


@pytest.fixture
def standing(engine: Engine) -> Standing:
    return Standing(engine.services.clock.micros())


@pytest.fixture
def scales(engine: Engine, standing: Standing) -> Scales:
    ours = scales_of(engine.services)
    return Scales(
        database=ours.database, roster=ours.roster, clock=standing, media_dir=ours.media_dir,
        zone=ours.zone,
    )  # fmt: skip


async def carry(engine: Engine, due_at: int) -> None:
    """One more delivery that the page carried."""
    post_id = await engine.post("blog", seconds=360_000)
    row: dict[str, Any] = {
        "id": f"{post_id[:-1]}x", "post_id": post_id, "account_id": engine.accounts["facebook"],
        "part": "post", "state": "delivered", "due_at": due_at, "planned_at": due_at,
        "created_at": due_at, "updated_at": due_at,
    }  # fmt: skip
    async with engine.services.database.write() as connection:
        await connection.execute(insert(deliveries), row)


async def counted(engine: Engine, scales: Scales) -> int:
    eggs = (await scales.weigh())["accounts"]
    return next(e["delivered"] for e in eggs if e["account_id"] == engine.accounts["facebook"])


async def test_what_was_counted_is_gone_on_from(
    engine: Engine, scales: Scales, standing: Standing
) -> None:
    begun = standing.at
    await carry(engine, begun - PERIOD - DAY)  # too long ago
    await carry(engine, begun - PERIOD + DAY // 2)  # too long ago a day from now
    await carry(engine, begun - RECENT - DAY)
    await carry(engine, begun - DAY)
    assert await counted(engine, scales) == 3
    await scales.keep()
    assert await counted(engine, scales) == 3
    await carry(engine, begun - DAY)
    await carry(engine, begun + DAY // 2)
    assert await counted(engine, scales) == 5
    standing.at = begun + DAY
    assert await counted(engine, scales) == 4


async def test_what_was_settled_long_after_its_time_counts_with_the_next_count(
    engine: Engine, scales: Scales, standing: Standing
) -> None:
    await scales.keep()
    await carry(engine, standing.at - RECENT - DAY)
    assert await counted(engine, scales) == 0
    await scales.keep()
    assert await counted(engine, scales) == 1


@pytest.mark.parametrize("moved", [KEPT + 1, -1])
async def test_an_old_count_or_one_of_the_future_is_not_gone_on_from(
    engine: Engine, scales: Scales, standing: Standing, moved: int
) -> None:
    await scales.keep()
    await carry(engine, standing.at - RECENT - DAY)
    standing.at += moved
    assert await counted(engine, scales) == 1


async def test_a_count_of_the_future_hides_none_that_is_good(
    engine: Engine, scales: Scales, standing: Standing
) -> None:
    standing.at += 30 * DAY
    await scales.keep()
    standing.at -= 30 * DAY
    await scales.keep()
    await carry(engine, standing.at - RECENT - DAY)
    assert await counted(engine, scales) == 0  # it went on from the second
