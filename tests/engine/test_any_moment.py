"""A post that is cancelled, changed, moved or paused at any moment before its request is seen: what
was accepted holds, and what comes too late is refused."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import pytest

from channels.sandbox.faults import FaultName
from scheduler.drafts import Revision
from scheduler.refusals import RefusedError
from scheduler.settings import Settings
from scheduler.store import accounts
from tests.engine.conftest import Engine, unhurried

SECOND = 1_000_000
# Before and after the due time, closest around the moment from which it may be leaving.
MOMENTS = (-1.5, -0.6, -0.35, -0.3, -0.27, -0.255, -0.245, -0.2, -0.1, -0.01, 0.0, 0.01, 0.3)
ROUNDS = 5  # a machine that stalls lets nothing be in time


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return unhurried(settings)


async def _cancel(engine: Engine, post: str) -> None:
    await engine.services.desk.cancel_post(post, "tests")


async def _change(engine: Engine, post: str) -> None:
    await engine.services.reviser.revise(
        post, Revision.model_validate({"body": "In new words."}), "tests"
    )


async def _move(engine: Engine, post: str) -> None:
    later = datetime.now(UTC) + timedelta(days=1)
    await engine.services.reviser.revise(
        post, Revision.model_validate({"at": later.isoformat()}), "tests"
    )


Act = Callable[[Engine, str], Awaitable[None]]


@pytest.mark.parametrize("act", [_cancel, _change, _move])
async def test_what_was_accepted_holds_and_what_comes_too_late_is_refused(
    engine: Engine, act: Act
) -> None:
    engine.fault("facebook", FaultName.SLOW, seconds=0.4)
    for _ in range(ROUNDS):
        accepted = await _tried_at_every_moment(engine, act)
        if any(accepted):
            return
    pytest.fail("nothing was accepted, not even long before it was due")


async def _tried_at_every_moment(engine: Engine, act: Act) -> list[bool]:
    """What was accepted of one round, after a look at what came of it."""

    async def one(number: int, moment: float) -> bool:
        post = await engine.post("facebook", seconds=3, title=f"Post {number}!")
        (row,) = await engine.rows(post)
        posts.append(post)
        await asyncio.sleep((row.due_at - engine.services.clock.micros()) / SECOND + moment)
        try:
            await act(engine, post)
        except RefusedError:
            return False
        return True

    before = len(engine.ledger("facebook"))
    posts: list[str] = []
    every = [(moment, repeat) for moment in MOMENTS for repeat in range(2)]
    async with engine.worker():
        accepted = await asyncio.gather(
            *(one(number, moment) for number, (moment, _) in enumerate(every))
        )
        for post in posts:
            await engine.until(
                post,
                lambda rows: (
                    rows[0].state in {"delivered", "cancelled"}
                    or rows[0].due_at > engine.services.clock.micros() + 3600 * SECOND
                ),
            )
    said = engine.ledger("facebook")[before:]
    for number, was_accepted in enumerate(accepted):
        mine = [text for text in said if text.startswith(f"Post {number}!")]
        if not was_accepted:
            assert [text.splitlines()[-1] for text in mine] == ["Come and see us."]
        elif act is _change:
            assert [text.splitlines()[-1] for text in mine] == ["In new words."]
        else:
            assert mine == []
    return accepted


@pytest.mark.parametrize("before", [1.5, 0.5, 0.1, 0.03])
async def test_what_was_armed_before_its_account_was_paused_waits(
    engine: Engine, before: float
) -> None:
    async with engine.worker():
        post = await engine.post("facebook", seconds=2)
        (row,) = await engine.until(post, lambda rows: rows[0].state != "scheduled")
        await asyncio.sleep((row.due_at - engine.services.clock.micros()) / SECOND - before)
        async with engine.services.database.write() as connection:
            await accounts.pause(
                connection, engine.accounts["facebook"], None, engine.services.clock.micros()
            )
        paused_at = engine.services.clock.micros()
        (row,) = await engine.until(post, lambda rows: rows[0].state in {"held", "delivered"})
    if row.state == "held":
        assert engine.ledger("facebook") == []
    else:  # the machine was busy: it had left by then
        assert row.first_sent_at <= paused_at
