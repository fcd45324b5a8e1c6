"""An account whose rest after failures ends: one delivery shows whether the others may follow."""

from __future__ import annotations

import pytest
from sqlalchemy import func, select, update

from channels.sandbox.faults import FaultName
from channels.sandbox.server import PracticeServer
from scheduler.settings import Settings
from scheduler.store.tables import accounts, attempts
from tests.engine.conftest import Engine, opened, unhurried

_SHOWN = {"scheduled", "delivered", "unconfirmed"}


async def _tried(engine: Engine) -> int:
    async with engine.services.database.read() as connection:
        statement = select(func.count()).where(attempts.c.action == "send")
        return int((await connection.execute(statement)).scalar_one())


@pytest.mark.parametrize("down", [True, False])
async def test_one_goes_first(settings: Settings, practice: PracticeServer, *, down: bool) -> None:
    settings = unhurried(settings).model_copy(update={"breaker_failures": 2, "breaker_pause": 600})
    async with opened(settings, practice) as engine:
        if down:
            engine.fault("linkedin", FaultName.SERVER_ERROR)
        async with engine.services.database.write() as connection:
            await connection.execute(update(accounts).values(failures=2))
        posts = [await engine.post("linkedin", title=f"Post {n}") for n in range(6)]
        async with engine.worker():
            for post in posts:
                await engine.until(
                    post,
                    lambda rows: rows[0].attempt > 0 and rows[0].state in _SHOWN,
                )
        assert await _tried(engine) == (1 if down else 6)
