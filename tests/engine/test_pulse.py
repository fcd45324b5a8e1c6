"""Whether the database answers is in the metrics."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from scheduler import metrics, pulse
from scheduler.store.db import Database
from tests.engine.conftest import PATIENCE, Engine


def up() -> float:
    return float(metrics.DB_UP._value.get())


async def test_a_database_that_answers_is_up_and_how_fast_is_told(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pulse, "ANSWER_WITHIN", PATIENCE)
    metrics.DB_UP.set(0)
    metrics.DB_ANSWER.set(0)
    assert await pulse.feel(database)
    assert up() == 1
    assert metrics.DB_ANSWER._value.get() > 0


async def test_one_that_is_not_there_is_down(tmp_path: Path) -> None:
    gone = Database(f"sqlite+aiosqlite:///{tmp_path / 'no' / 'such.db'}")
    assert not await pulse.feel(gone)
    assert up() == 0
    await gone.close()


async def test_one_that_hangs_is_down(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulse, "ANSWER_WITHIN", 0.1)
    over = asyncio.Event()

    async def say_nothing(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await over.wait()
        writer.close()

    server = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    hanging = Database(f"postgresql+asyncpg://nobody@127.0.0.1:{port}/none?ssl=disable")
    assert not await pulse.feel(hanging)
    assert up() == 0
    over.set()
    server.close()
    await hanging.close()


async def test_a_worker_feels_it(engine: Engine) -> None:
    metrics.DB_UP.set(0)
    async with engine.worker(), asyncio.timeout(PATIENCE):
        while True:
            if up() == 1:
                break
            await asyncio.sleep(0.01)
