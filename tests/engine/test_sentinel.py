"""Redis behind Sentinels, with passwords, by TLS too: its master is killed, and nothing comes of
it."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import ValidationError

from channels.sandbox.server import PracticeServer
from scheduler import metrics
from scheduler.clock import Clock
from scheduler.queue import ArqDoorbell
from scheduler.settings import Settings
from scheduler.web.readiness import look
from scheduler.worker import Worker
from tests.engine.conftest import PATIENCE, Engine, broadcast, opened
from tests.support.certificates import own_certificate
from tests.support.sentinels import MASTER, PASSWORD, WATCH, Guarded, guarded, tls_server


@pytest.fixture(params=["plain", "tls"])
def redis_group(request: pytest.FixtureRequest) -> Iterator[Guarded]:
    directory = Path(tempfile.mkdtemp(prefix="e-", dir="/tmp"))
    certificate = None
    if request.param == "tls":
        if tls_server() is None:
            pytest.skip("no Redis here that speaks TLS: apt-get install redis-server")
        certificate = own_certificate(directory / "redis.pem")
    with guarded(directory, certificate) as group:
        yield group
    shutil.rmtree(directory)


def url_of(group: Guarded) -> str:
    """How to log in at the master; which of them that is, the Sentinels say."""
    login = f":{PASSWORD.replace(' ', '%20')}@any/0"
    authority = group.tls.get("ssl_ca_certs")
    return f"rediss://{login}?ssl_ca_certs={authority}" if authority else f"redis://{login}"


async def test_a_failover_loses_nothing_and_the_bell_rings_again(
    sqlite_url: str, tmp_path: Path, practice: PracticeServer, redis_group: Guarded
) -> None:
    settings = Settings(
        data_dir=tmp_path, database_url=sqlite_url, private_addresses_ok=True,
        redis_url=url_of(redis_group),
        redis_sentinel=redis_group.sentinels, redis_sentinel_password=WATCH,
        redis_sentinel_master=MASTER,
    )  # fmt: skip
    clock = Clock()
    bell = ArqDoorbell(settings.redis_url, settings, clock, arm_ahead=settings.arm_ahead)
    async with opened(settings, practice, clock, doorbell=bell) as engine:
        services = engine.services
        worker = Worker(services, redis_url=settings.redis_url, broadcast=broadcast)
        async with worker.running():
            posts = [await engine.post("facebook")]
            await _hears_a_tick(engine, posts)
            before = redis_group.master()
            redis_group.kill(before)
            posts += [await engine.post("facebook", title=f"Meanwhile {n}") for n in range(5)]
            for post in posts:
                await engine.settled(post, "delivered")
            await _hears_a_tick(engine, posts)
            assert redis_group.master() != before
            redis = [one for one in (await look(services))["checks"] if one["name"] == "redis"]
            assert [one["ok"] for one in redis] == [True]
            for post in posts:
                await engine.settled(post, "delivered")
        await bell.close()
    assert len(engine.ledger("facebook")) == len(posts)


async def _hears_a_tick(engine: Engine, posts: list[str]) -> None:
    """Accept posts until the worker hears of one through Redis."""
    heard = metrics.TICKS._value.get()
    async with asyncio.timeout(PATIENCE):
        while metrics.TICKS._value.get() == heard:
            posts.append(await engine.post("facebook", seconds=1, title=f"Tick {len(posts)}"))
            await asyncio.sleep(1)


def test_sentinels_need_to_know_how_to_log_in() -> None:
    with pytest.raises(ValidationError, match="redis_url"):
        Settings(redis_sentinel="127.0.0.1:26379", redis_url="")
