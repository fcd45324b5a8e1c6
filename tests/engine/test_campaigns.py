"""Campaigns on a running engine: what a preview shows is what happens, to the minute."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select

from channels.sandbox.faults import FaultName
from scheduler.campaign_answers import CampaignAnswer, MovePreview
from scheduler.clock import Clock, micros
from scheduler.decide import SECOND
from scheduler.mover import Mover
from scheduler.refusals import RefusedError
from scheduler.settings import Settings
from scheduler.store import claims
from scheduler.store.tables import posts
from scheduler.storyboard import CampaignDraft, Move, Shift
from scheduler.web.api.campaigns import detail
from tests.engine.conftest import AHEAD, CALLER, Engine, unhurried
from tests.support.clocks import SetClock

PARIS = ZoneInfo("Europe/Paris")
TWELVE: list[dict[str, Any]] = [
    {"days": -14, "at": "10:00"},
    {"days": -10, "at": "10:00"},
    {"days": -7, "at": "10:00"},
    {"days": -5, "at": "09:30"},
    {"days": -3, "at": "10:00"},
    {"days": -2, "at": "02:15"},
    {"days": -1, "at": "18:00"},
    {"minutes": -60},
    {},
    {"days": 1, "at": "10:00"},
    {"days": 3},
    {"days": 7, "at": "23:45"},
]
RULES = {"catch_up_gap": 0.0, "default_deadline_hours": 24.0}
BODY = "Nous rouvrons le {{date}} à {{time}}, {{countdown}}."


def wall(anchor: datetime, when: Mapping[str, Any]) -> datetime:
    """The local time that a placement asks for, by other means than the code under test."""
    if "minutes" in when:
        there = anchor.replace(tzinfo=PARIS).astimezone(UTC)
        return (there + timedelta(minutes=when["minutes"])).astimezone(PARIS).replace(tzinfo=None)
    day = anchor.date() + timedelta(days=when.get("days", 0))
    return datetime.combine(day, time.fromisoformat(when["at"]) if "at" in when else anchor.time())


def last_sunday(year: int, month: int) -> date:
    last = date(year, month, 31)
    return last - timedelta(days=(last.weekday() + 1) % 7)


@pytest.fixture
def settings(settings: Settings) -> Settings:
    # What is sent by another year's clock is not found by the platform's.
    return unhurried(settings).model_copy(update=RULES)


async def create(
    engine: Engine, anchor: datetime, posts: list[dict[str, Any]], **fields: str
) -> str:
    draft = CampaignDraft.model_validate_json(
        json.dumps(
            {
                "name": "Réouverture",
                "anchor": anchor.isoformat(),
                "zone": "Europe/Paris",
                "fields": fields,
                "accounts": [engine.accounts["facebook"]],
                "posts": [
                    {"title": f"Nr. {index}", "body": BODY, "language": "fr", **post}
                    for index, post in enumerate(posts)
                ],
            }
        )
    )
    created = await engine.services.campaigner.create(draft, CALLER, None)
    assert created.answer["skipped"] == []
    return created.answer["id"]


async def read(engine: Engine, campaign: str) -> CampaignAnswer:
    return await detail(engine.services, campaign)


async def preview(engine: Engine, campaign: str, **shift: Any) -> MovePreview:
    return await Mover(engine.services.campaigner).preview(campaign, Shift.model_validate(shift))


async def move(engine: Engine, campaign: str, token: str, **shift: Any) -> list[str]:
    asked = Move.model_validate({**shift, "token": token})
    return (await Mover(engine.services.campaigner).move(campaign, asked, "tests"))["corrected"]


def placed(told: CampaignAnswer) -> dict[str, str]:
    return {post["id"]: post["at"] for post in told["posts"]}


@pytest.mark.parametrize("month", [3, 10])
async def test_twelve_posts_over_a_clock_change_moved_three_times(
    engine: Engine, clock: SetClock, month: int
) -> None:
    sunday = last_sunday(2027, month)
    first = datetime.combine(sunday, time(9)) + timedelta(days=4)
    start = wall(first, TWELVE[0]).replace(tzinfo=PARIS)
    clock.set(start.astimezone(UTC) - timedelta(seconds=30))
    campaign = await create(engine, first, [{"when": when} for when in TWELVE])
    told = await read(engine, campaign)
    out = told["posts"][0]["id"]
    clock.set(start.astimezone(UTC))
    async with engine.worker():
        await engine.settled(out, "delivered")
    assert "dans 14 jours" in engine.ledger("facebook")[0]

    for days in (8, -3, 4):
        anchor = first + timedelta(days=days)
        shown = await preview(engine, campaign, anchor=anchor.isoformat())
        before = await read(engine, campaign)
        await move(engine, campaign, shown["token"], anchor=shown["new_anchor"])
        after = await read(engine, campaign)

        expected = {one["post_id"]: one["new_at"] for one in shown["posts"]}
        assert {post: at[:16] for post, at in placed(after).items()} == {
            post: at[:16] for post, at in expected.items()
        }
        assert {one["post_id"]: one["at"][:16] for one in shown["posts"]} == {
            post: at[:16] for post, at in placed(before).items()
        }
        effects = {one["post_id"]: one for one in shown["posts"]}
        assert effects[out]["effect"] == "out"
        assert effects[out]["wrong"]
        assert [one["effect"] for post, one in effects.items() if post != out] == ["moves"] * 11
        by_title = {post["title"]: post for post in after["posts"]}
        for index, when in enumerate(TWELVE[1:], start=1):
            post = by_title[f"Nr. {index}"]
            local = wall(anchor, when)
            due = local.replace(tzinfo=PARIS)
            assert post["at"] == due.astimezone(UTC).astimezone(PARIS).isoformat()
            (leg,) = post["deliveries"]
            assert leg["due_at"] == due.astimezone(UTC).isoformat().replace("+00:00", "Z")
            assert leg["planned_at"] == leg["due_at"]
        assert placed(after)[out] == placed(before)[out]

    moved = (await read(engine, campaign))["posts"]
    assert {post["zone"] for post in moved} == {"Europe/Paris"}
    assert len({post["at"][-6:] for post in moved}) == 2  # both offsets from UTC
    assert len(engine.ledger("facebook")) == 1


async def test_what_falls_into_the_past_meets_its_late_policy_as_shown(
    engine: Engine, clock: SetClock
) -> None:
    now = datetime(2027, 6, 10, 12, tzinfo=UTC)
    clock.set(now)
    stories: list[dict[str, Any]] = [
        {"when": {"days": -14}, "late_policy": "publish"},
        {"when": {"days": -5}, "late_policy": "publish"},
        {"when": {"days": -5}, "late_policy": "ask"},
        {"when": {"days": -5}, "late_policy": "drop"},
        {"when": {"days": -4}},
    ]
    campaign = await create(engine, datetime(2027, 7, 15, 10), stories)
    # Five days before is four hours ago: within the day that posts may be late by default.
    shown = await preview(engine, campaign, anchor="2027-06-15T10:00")
    effects = {one["title"]: one["late"] for one in shown["posts"]}
    assert effects == {
        "Nr. 0": "ask",
        "Nr. 1": "publish",
        "Nr. 2": "ask",
        "Nr. 3": "drop",
        "Nr. 4": None,
    }
    await move(engine, campaign, shown["token"], anchor="2027-06-15T10:00")
    states = {"publish": "delivered", "ask": "held", "drop": "failed", None: "scheduled"}
    async with engine.worker():
        for one in shown["posts"]:
            await engine.settled(one["post_id"], states[one["late"]])
    (text,) = engine.ledger("facebook")
    assert "dans 5 jours" in text


async def test_a_move_takes_an_armed_post_from_its_worker(early: Engine, clock: SetClock) -> None:
    clock.set(datetime(2027, 6, 10, 8, tzinfo=UTC) - timedelta(seconds=AHEAD))
    campaign = await create(early, datetime(2027, 6, 10, 10), [{}, {"when": {"days": 2}}])
    first = (await read(early, campaign))["posts"][0]["id"]
    async with early.worker():
        await early.settled(first, "armed")
        shown = await preview(early, campaign, anchor="2027-06-10T10:30")
        await move(early, campaign, shown["token"], anchor="2027-06-10T10:30")
        clock.set(datetime(2027, 6, 10, 8, 0, 1, tzinfo=UTC))
        probe = await early.post("facebook", title="After")
        await early.settled(probe, "delivered")
    assert [text.splitlines()[0] for text in early.ledger("facebook")] == ["After"]
    await early.settled(first, "scheduled")


async def test_words_change_with_the_fields_although_the_time_stays(
    early: Engine, clock: SetClock
) -> None:
    clock.set(datetime(2027, 6, 10, 8, tzinfo=UTC) - timedelta(seconds=AHEAD))
    story = {"body": "Ouverts, {{place}}."}
    campaign = await create(early, datetime(2027, 6, 10, 10), [story], place="rue Basse")
    post = (await read(early, campaign))["posts"][0]["id"]
    async with early.worker():
        await early.settled(post, "armed")
        shown = await preview(early, campaign, fields={"place": "rue Haute"})
        assert [one["effect"] for one in shown["posts"]] == ["stays"]
        await move(early, campaign, shown["token"], fields={"place": "rue Haute"})
        clock.set(datetime(2027, 6, 10, 8, tzinfo=UTC))
        await early.settled(post, "delivered")
    (text,) = early.ledger("facebook")
    assert text.endswith("Ouverts, rue Haute.")


async def test_a_correction_goes_where_the_wrong_date_was_said_and_only_once(
    engine: Engine, clock: SetClock
) -> None:
    clock.set(datetime(2027, 6, 8, 7, 59, 59, tzinfo=UTC))
    campaign = await create(
        engine, datetime(2027, 6, 10, 10), [{"when": {"days": -2}}, {"when": {"days": 1}}]
    )
    first = (await read(engine, campaign))["posts"][0]["id"]
    async with engine.worker():
        await engine.settled(first, "delivered")
        shown = await preview(engine, campaign, anchor="2027-06-17T11:00")
        (offered,) = shown["corrections"]
        assert offered["accounts"] == [engine.accounts["facebook"]]
        assert offered["posts"] == [first]
        assert offered["title"] == "Changement de date\u00a0: jeudi 17 juin"
        assert "annoncé le jeudi 10 juin à 10\u00a0h" in offered["body"]
        assert "jeudi 17 juin 2027 à 11\u00a0h" in offered["body"]
        (made,) = await move(
            engine, campaign, shown["token"], anchor="2027-06-17T11:00", correct=True
        )
        await engine.settled(made, "delivered")
    texts = engine.ledger("facebook")
    assert len(texts) == 2
    assert offered["title"] in texts[1]
    again = await preview(engine, campaign, anchor="2027-06-18T11:00")
    (next_,) = again["corrections"]
    assert next_["posts"] == [made]
    assert "annoncé le jeudi 17 juin" in next_["body"]
    back = await preview(engine, campaign, fields={"anything": "else"})
    assert back["corrections"] == []


async def test_a_stale_preview_moves_nothing(engine: Engine, clock: SetClock) -> None:
    clock.set(datetime(2027, 6, 10, 7, tzinfo=UTC))
    campaign = await create(engine, datetime(2027, 6, 20, 10), [{}, {"when": {"days": 2}}])
    shown = await preview(engine, campaign, anchor="2027-06-21T10:00")
    elsewhere = await preview(engine, campaign, anchor="2027-06-22T10:00")
    await move(engine, campaign, elsewhere["token"], anchor="2027-06-22T10:00")
    moved = await read(engine, campaign)
    with pytest.raises(RefusedError, match="previewed") as refused:
        await move(engine, campaign, shown["token"], anchor="2027-06-21T10:00")
    assert refused.value.errors[0].field == "token"
    assert await read(engine, campaign) == moved


async def test_time_alone_makes_a_preview_stale(engine: Engine, clock: SetClock) -> None:
    clock.set(datetime(2027, 6, 10, 7, tzinfo=UTC))
    campaign = await create(engine, datetime(2027, 6, 20, 10), [{}])
    shown = await preview(engine, campaign, anchor="2027-06-10T09:30")
    clock.set(datetime(2027, 6, 10, 7, 31, tzinfo=UTC))
    with pytest.raises(RefusedError, match="previewed"):
        await move(engine, campaign, shown["token"], anchor="2027-06-10T09:30")


async def test_a_lost_answer_is_looked_for_in_the_words_that_left(
    engine: Engine,
) -> None:
    engine.fault("facebook", FaultName.ANSWER_LOST, times=1)
    # The platform says when it published by its own clock: this one test runs in the present.
    soon = datetime.now(PARIS).replace(tzinfo=None) + timedelta(days=2, seconds=1)
    campaign = await create(engine, soon, [{"when": {"days": -2}}])
    post = (await read(engine, campaign))["posts"][0]["id"]
    async with engine.worker():
        await engine.settled(post, "unconfirmed")
        later = (soon + timedelta(days=7)).isoformat()
        shown = await preview(engine, campaign, anchor=later)
        await move(engine, campaign, shown["token"], anchor=later)
        (row,) = await engine.settled(post, "delivered")
    assert "found on the platform" in row.cause
    assert len(engine.ledger("facebook")) == 1


async def test_cancelling_ends_what_waits_and_leaves_what_is_out(
    engine: Engine, clock: SetClock
) -> None:
    clock.set(datetime(2027, 6, 10, 7, 59, 59, tzinfo=UTC))
    campaign = await create(engine, datetime(2027, 6, 10, 10), [{}, {"when": {"days": 2}}])
    first, second = [post["id"] for post in (await read(engine, campaign))["posts"]]
    async with engine.worker():
        await engine.settled(first, "delivered")
        await engine.services.campaigner.cancel(campaign, "tests")
    await engine.settled(first, "delivered")
    await engine.settled(second, "cancelled")
    with pytest.raises(RefusedError, match="cancelled already"):
        await engine.services.campaigner.cancel(campaign, "tests")
    with pytest.raises(RefusedError, match="is cancelled"):
        await preview(engine, campaign, anchor="2027-06-22T10:00")


@pytest.mark.parametrize("kind", ["essential", "ordinary"])
async def test_another_road_says_the_date_too(engine: Engine, clock: SetClock, kind: str) -> None:
    clock.set(datetime(2027, 6, 8, 7, 59, 59, tzinfo=UTC))
    engine.fault("facebook", FaultName.PAGE_GONE)
    campaign = await create(
        engine, datetime(2027, 6, 10, 10), [{"when": {"days": -2}, "kind": kind}]
    )
    post = (await read(engine, campaign))["posts"][0]["id"]
    statement = select(posts.c.content).where(posts.c.campaign_id.is_(None))
    async with engine.worker():
        await engine.until(post, lambda rows: rows[0].state == "rerouted")
        if kind == "essential":
            await engine.settled(post, "rerouted", "delivered")
            (page,) = await engine.services.pages.latest(2)
            said = page.page.html
        else:
            async with engine.services.database.read() as connection:
                said = (await connection.execute(statement)).scalar_one()["body"]
            shown = await preview(engine, campaign, anchor="2027-06-17T10:00")
            await move(engine, campaign, shown["token"], anchor="2027-06-17T10:00")
            async with engine.services.database.read() as connection:
                moved = (await connection.execute(statement)).scalar_one()["body"]
            assert "jeudi 17 juin 2027" in moved
    assert "jeudi 10 juin 2027" in said
    assert "{{" not in said


class Slow(Clock):
    """Lets two seconds pass after so many readings."""

    def __init__(self, now: int, readings: int) -> None:
        late = now + 2 * SECOND
        self.readings = itertools.chain(itertools.repeat(now, readings), itertools.repeat(late))

    def micros(self) -> int:
        return next(self.readings)


@pytest.mark.parametrize(("what", "readings"), [("move", 2), ("cancel", 1)])
async def test_a_change_that_takes_too_long_gives_way_to_what_is_leaving(
    engine: Engine, clock: SetClock, what: str, readings: int
) -> None:
    due = datetime(2027, 6, 10, 8, tzinfo=UTC)
    clock.set(due - timedelta(seconds=30))
    campaign = await create(engine, datetime(2027, 6, 10, 10), [{}, {"when": {"days": 2}}])
    shown = await preview(engine, campaign, anchor="2027-06-17T10:00")
    now = micros(due) - 1_800_000
    armed = await claims.claim_due(
        engine.services.database,
        horizon=micros(due),
        worker="another",
        token="its token",
        lease_until=now + 60 * SECOND,
        now=now,
    )
    assert len(armed) == 1
    told = await read(engine, campaign)
    slow = replace(engine.services.campaigner, clock=Slow(now, readings))
    asked = Move(anchor="2027-06-17T10:00", token=shown["token"])
    late = Mover(slow).move(campaign, asked, "x") if what == "move" else slow.cancel(campaign, "x")
    with pytest.raises(RefusedError, match="being sent"):
        await late
    assert await read(engine, campaign) == told


async def test_moves_that_race_the_dispatcher_publish_once_or_not_at_all(engine: Engine) -> None:
    async with engine.worker():
        for wait in (0.3, 0.6, 0.75, 0.9, 1.0, 1.1):
            soon = datetime.now(PARIS).replace(tzinfo=None) + timedelta(seconds=1)
            campaign = await create(engine, soon, [{"title": f"After {wait}"}])
            (post,) = (await read(engine, campaign))["posts"]
            later = (soon + timedelta(days=1)).isoformat()
            await asyncio.sleep(wait)
            try:
                shown = await preview(engine, campaign, anchor=later)
                await move(engine, campaign, shown["token"], anchor=later)
            except RefusedError:
                await engine.settled(post["id"], "delivered")
            (row,) = await engine.until(
                post["id"], lambda rows: rows[0].state in {"delivered", "scheduled"}
            )
            said = [text for text in engine.ledger("facebook") if f"After {wait}" in text]
            assert len(said) == (row.state == "delivered")
        last = await engine.post("facebook", title="The end", seconds=1.5)
        await engine.settled(last, "delivered")
    assert len(engine.ledger("facebook")) == len(set(engine.ledger("facebook")))
