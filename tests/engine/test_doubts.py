"""A doubt ends, whatever goes wrong while it is looked into."""

from __future__ import annotations

import shutil
from typing import Any

import pytest

from channels.sandbox.faults import FaultName
from scheduler.media import original_path
from tests.engine.conftest import Engine
from tests.engine.test_pictures import upload
from tests.support.clocks import SetClock

QUARTER_OF_AN_HOUR = 900_000_000  # microseconds


async def asked(engine: Engine, post: str) -> None:
    """The doubt became a person's question, once, and nothing was sent a second time."""
    (row,) = await engine.settled(post, "held")
    assert row.hold_reason == "unconfirmed"
    (alert,) = [one for one in await engine.alerts() if one.kind == "delivery.unconfirmed"]
    assert alert.data["delivery_id"] == row.id
    assert len(engine.ledger("facebook")) == 1


async def test_what_cannot_be_rendered_again_becomes_a_persons_question(
    engine: Engine, clock: SetClock
) -> None:
    """The picture was lost on disk after the post had left."""
    stored = await upload(engine)
    engine.fault("facebook", FaultName.ANSWER_LOST, times=1)
    async with engine.worker():
        post = await engine.post("facebook", media=[stored.id])
        await engine.settled(post, "unconfirmed")
        shutil.rmtree(original_path(engine.services.settings.data_dir, stored.sha256).parent)
        clock.ahead_us += QUARTER_OF_AN_HOUR
        await asked(engine, post)


async def test_a_look_that_fails_as_nobody_foresaw_becomes_a_persons_question(
    engine: Engine, clock: SetClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_args: Any, **_how: Any) -> Any:
        raise KeyError("data")

    monkeypatch.setattr(type(engine.services.registry["facebook"]), "find", broken)
    engine.fault("facebook", FaultName.ANSWER_LOST, times=1)
    async with engine.worker():
        post = await engine.post("facebook")
        await engine.settled(post, "unconfirmed")
        clock.ahead_us += QUARTER_OF_AN_HOUR
        await asked(engine, post)
