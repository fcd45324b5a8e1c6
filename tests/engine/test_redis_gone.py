"""Redis gone is an inconvenience: posts are taken and published, it is said everywhere, and all is
as before once Redis is back, without anybody's doing."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from prometheus_client import REGISTRY
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from channels.sandbox.server import PracticeServer
from scheduler import lookout, redis_pool
from scheduler.clock import Clock
from scheduler.queue import ArqDoorbell
from scheduler.settings import Settings
from scheduler.web import readiness
from scheduler.worker import Worker
from tests.engine.conftest import PATIENCE, Engine, broadcast, client_of, opened, unhurried
from tests.support.servers import redis_server


@pytest.fixture(autouse=True)
def settings(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A database and a worker that are slow are no less there."""
    monkeypatch.setattr(readiness, "ANSWER_WITHIN", PATIENCE)
    return unhurried(settings)


async def _open_alerts(engine: Engine) -> list[str]:
    return [alert.kind for alert in await engine.alerts() if alert.resolved_at is None]


async def _redis(engine: Engine) -> str:
    """What /readyz says of it."""
    async with client_of(engine) as client:
        answer = await client.get("/readyz")
        assert answer.status == 200
        checks = (await answer.json())["checks"]
    return str(next(check["detail"] for check in checks if check["name"] == "redis"))


async def test_nothing_waits_for_redis_and_it_is_told(
    settings: Settings, practice: PracticeServer, short_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = short_dir / "gone"
    home.mkdir(exist_ok=True)
    url = f"unix://{home / 'redis.sock'}"
    with_redis = settings.model_copy(update={"redis_url": url})
    monkeypatch.setattr(redis_pool, "_patience", lambda: Retry(NoBackoff(), 1))
    monkeypatch.setattr(lookout, "EVERY", 0.1)
    bell = ArqDoorbell(url, with_redis, Clock(), arm_ahead=with_redis.arm_ahead)
    async with opened(with_redis, practice, doorbell=bell) as engine:
        async with Worker(engine.services, redis_url=url, broadcast=broadcast).running():
            await engine.settled(await engine.post("facebook", title="Without"), "delivered")
            async with asyncio.timeout(PATIENCE):
                while await _open_alerts(engine) != ["redis.lost"]:  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
            assert REGISTRY.get_sample_value("estafette_redis_up") == 0
            gone = await _redis(engine)
            heard = REGISTRY.get_sample_value("estafette_ticks_total") or 0
            with redis_server(home):
                async with asyncio.timeout(PATIENCE):
                    while await _open_alerts(engine):  # noqa: ASYNC110
                        await asyncio.sleep(0.05)
                assert await _redis(engine) != gone
                await engine.settled(await engine.post("facebook", title="With"), "delivered")
                async with asyncio.timeout(PATIENCE):
                    while (REGISTRY.get_sample_value("estafette_ticks_total") or 0) <= heard:
                        await bell.ring(Clock().micros())
                        await asyncio.sleep(0.05)
        await bell.close()
    assert len(engine.ledger("facebook")) == 2


async def test_an_api_without_a_worker_measures_redis_too(
    settings: Settings, practice: PracticeServer, short_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = short_dir / "measured"
    home.mkdir(exist_ok=True)
    with_redis = settings.model_copy(update={"redis_url": f"unix://{home / 'redis.sock'}"})
    monkeypatch.setattr(lookout, "EVERY", 0.1)

    async def says(value: float) -> None:
        async with asyncio.timeout(PATIENCE):
            while REGISTRY.get_sample_value("estafette_redis_up") != value:  # noqa: ASYNC110
                await asyncio.sleep(0.02)

    async with opened(with_redis, practice) as engine:
        with redis_server(home):
            async with client_of(engine):
                await says(1)
        async with client_of(engine):
            await says(0)


async def test_ready_is_said_while_redis_hangs(
    settings: Settings, practice: PracticeServer, short_dir: Path
) -> None:
    async def never(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    socket = short_dir / "hangs.sock"
    hanging = settings.model_copy(update={"redis_url": f"unix://{socket}"})
    server = await asyncio.start_unix_server(never, socket)
    async with opened(hanging, practice) as engine, engine.worker():
        async with asyncio.timeout(PATIENCE):
            said = await _redis(engine)
    server.close()
    assert "does not answer" in said
