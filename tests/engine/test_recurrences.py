"""What comes round again becomes campaigns: once each, whoever plans and whatever breaks."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from scheduler.recurrence import RecurrenceDraft
from scheduler.recurrence_answers import RecurrenceAnswer, recurrence_answer
from scheduler.recurring import Recurring
from scheduler.refusals import RefusedError
from scheduler.services import open_services
from scheduler.settings import Settings
from scheduler.store import accounts, recurrences
from scheduler.store.campaign_tables import campaigns
from scheduler.store.tables import deliveries, posts
from tests.engine.conftest import CALLER, PATIENCE, Engine
from tests.support.clocks import SetClock

NOON = datetime(2027, 10, 12, 10, tzinfo=UTC)  # a Tuesday, noon in Paris


@pytest.fixture
def clock() -> SetClock:
    return SetClock(NOON)


def draft(engine: Engine, **change: Any) -> RecurrenceDraft:
    asked = {
        "name": "The menu",
        "rule": "FREQ=WEEKLY;BYDAY=TU",
        "start": "2027-10-19T09:00",
        "zone": "Europe/Paris",
        "accounts": [engine.accounts["facebook"]],
        "posts": [
            {"body": "Tomorrow: {{day}}", "when": {"days": -1, "at": "18:00"}},
            {"body": "The menu of {{day}}"},
        ],
        **change,
    }
    return RecurrenceDraft.model_validate_json(json.dumps(asked))


def recurring(engine: Engine) -> Recurring:
    return Recurring(engine.services.campaigner)


async def create(engine: Engine, **change: Any) -> RecurrenceAnswer:
    return (await recurring(engine).create(draft(engine, **change), CALLER, None)).answer


async def planned(engine: Engine) -> list[str]:
    statement = select(campaigns.c.occurrence).order_by(campaigns.c.occurrence)
    async with engine.services.database.read() as connection:
        return list((await connection.execute(statement)).scalars().all())


async def more_than(engine: Engine, number: int) -> None:
    """Wait until more occurrences are planned."""
    async with asyncio.timeout(PATIENCE):
        while True:
            if len(await planned(engine)) > number:
                return
            await asyncio.sleep(0.005)


async def dues(engine: Engine) -> list[str]:
    statement = select(posts.c.due_at, posts.c.zone).order_by(posts.c.due_at)
    async with engine.services.database.read() as connection:
        rows = (await connection.execute(statement)).all()
    return [f"{datetime.fromtimestamp(row.due_at / 1e6, UTC):%m-%d %H:%M}" for row in rows]


async def test_occurrences_near_enough_are_planned_at_their_local_time(engine: Engine) -> None:
    made = await create(engine)
    assert made["next"][:3] == [
        "2027-10-19T09:00+02:00",
        "2027-10-26T09:00+02:00",
        "2027-11-02T09:00+01:00",
    ]
    days = ("10-19", "10-26", "11-02", "11-09")
    assert await planned(engine) == [f"2027-{day}T09:00" for day in days]
    assert await dues(engine) == [
        "10-18 16:00", "10-19 07:00", "10-25 16:00", "10-26 07:00",
        "11-01 17:00", "11-02 08:00", "11-08 17:00", "11-09 08:00",
    ]  # fmt: skip


async def test_two_planners_and_one_that_dies_plan_each_once(
    engine: Engine, settings: Settings, clock: SetClock
) -> None:
    made = await create(engine, rule="FREQ=DAILY")
    clock.set(NOON + timedelta(days=25))
    async with open_services(settings, clock=clock) as other:
        dying = asyncio.create_task(Recurring(other.campaigner).plan_ahead(made["id"]))
        await more_than(engine, len(await planned(engine)))
        dying.cancel()
        await asyncio.gather(dying, return_exceptions=True)
        both = [Recurring(other.campaigner), recurring(engine)]
        counts = await asyncio.gather(*(one.plan_ahead(made["id"]) for one in both))
    first, last = datetime(2027, 10, 19, 9), datetime(2027, 12, 8, 9)
    expected = [
        f"{first + timedelta(days=day):%Y-%m-%dT%H:%M}" for day in range((last - first).days + 1)
    ]
    assert await planned(engine) == expected
    assert sum(counts) < len(expected)
    assert len(await dues(engine)) == 2 * len(expected)


async def test_a_worker_plans_further_when_time_goes_on(engine: Engine, clock: SetClock) -> None:
    await create(engine)
    clock.set(NOON + timedelta(days=14))
    async with engine.worker():
        await more_than(engine, 5)
    assert (await planned(engine))[-1] == "2027-11-23T09:00"


async def test_what_nobody_could_plan_in_time_is_told_not_published(
    engine: Engine, clock: SetClock
) -> None:
    made = await create(engine)
    clock.set(datetime(2027, 12, 1, 12, tzinfo=UTC))
    assert await recurring(engine).plan_ahead(made["id"]) == 4
    assert [one for one in await planned(engine) if one >= "2027-11-10"] == [
        f"2027-12-{day}T09:00" for day in ("07", "14", "21", "28")
    ]
    (alert,) = await engine.alerts()
    assert (alert.kind, alert.count) == ("recurrence.missed", 3)
    assert alert.data["action"]


async def test_what_cannot_be_planned_is_told_once_and_planned_when_mended(
    engine: Engine, clock: SetClock
) -> None:
    made = await create(engine)
    clock.set(NOON + timedelta(days=14))
    async with engine.services.database.write() as connection:
        await accounts.archive(
            connection, engine.accounts["facebook"], engine.services.clock.micros()
        )
    for _ in range(2):
        assert await recurring(engine).plan_ahead(made["id"]) == 0
    (alert,) = await engine.alerts()
    assert (alert.kind, alert.count) == ("recurrence.refused", 2)
    assert "no account" in alert.data["cause"]


async def test_skipping_a_day_cancels_it_and_keeps_the_rest(engine: Engine) -> None:
    made = await create(engine)
    await recurring(engine).skip(made["id"], "2027-10-26", "tests")
    statement = select(campaigns.c.occurrence).where(campaigns.c.cancelled_at.is_not(None))
    async with engine.services.database.read() as connection:
        cancelled = (await connection.execute(statement)).scalars().all()
        row = await recurrences.get(connection, made["id"])
    assert cancelled == ["2027-10-26T09:00"]
    assert row is not None
    coming = recurrence_answer(row, engine.services.clock.micros())["next"]
    assert [one[:10] for one in coming[:2]] == ["2027-10-19", "2027-11-02"]


@pytest.mark.parametrize(("keep", "state"), [(False, "cancelled"), (True, "scheduled")])
async def test_ending_it(engine: Engine, clock: SetClock, *, keep: bool, state: str) -> None:
    made = await create(engine)
    await recurring(engine).end(made["id"], "tests", keep_planned=keep)
    clock.set(NOON + timedelta(days=60))
    assert await recurring(engine).plan_ahead(made["id"]) == 0
    async with engine.services.database.read() as connection:
        states = (await connection.execute(select(deliveries.c.state))).scalars().all()
    assert states == [state] * 8
    with pytest.raises(RefusedError, match="ended already"):
        await recurring(engine).end(made["id"], "tests", keep_planned=keep)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"rule": "FREQ=HOURLY"}, "rule"),
        ({"rule": "FREQ=DAILY;UNTIL=20271020", "start": "2027-10-01T09:00",
          "exceptions": ["2027-10-13", "2027-10-14", "2027-10-15", "2027-10-16", "2027-10-17",
                         "2027-10-18", "2027-10-19", "2027-10-20"]}, "rule"),
        ({"start": "2027-10-19"}, "start"),
        ({"posts": [{"body": "x", "when": {"days": -91}}]}, "posts[0].when.days"),
        ({"posts": [{"body": "{{plaec}}"}]}, "posts[0].body"),
        ({"accounts": ["nobody"]}, "accounts[0]"),
    ],
)  # fmt: skip
async def test_what_cannot_come_round_is_refused_and_not_stored(
    engine: Engine, change: Any, field: str
) -> None:
    with pytest.raises(RefusedError) as refused:
        await create(engine, **change)
    assert refused.value.errors[0].field == field
    assert await recurrences.running(engine.services.database) == []
