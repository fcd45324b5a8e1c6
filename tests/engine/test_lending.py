"""A picture that was uploaded reaches a receiver that fetches it by address, for some days."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from channels.sandbox.server import PracticeServer
from scheduler.lending import LENT_FOR
from scheduler.media import original_path
from scheduler.refusals import RefusedError
from scheduler.settings import Settings
from tests.engine.conftest import Engine, client_of, opened
from tests.engine.test_pictures import upload
from tests.support.clocks import SetClock

PUBLIC = "https://posts.example.org"


@pytest.fixture
async def engine(
    settings: Settings, practice: PracticeServer, clock: SetClock
) -> AsyncIterator[Engine]:
    public = settings.model_copy(update={"public_url": f"{PUBLIC}/"})
    async with opened(public, practice, clock, connected={"webhook", "facebook"}) as engine:
        yield engine


async def sent(engine: Engine) -> tuple[str, dict[str, Any]]:
    """The path of what was lent, and the event that said so."""
    stored = await upload(engine)
    async with engine.worker():
        post = await engine.post("webhook", media=[stored.id])
        await engine.settled(post, "delivered")
    (event,) = engine.practice.ledger.entries("webhook", kind="post")
    (picture,) = event.payload["media"]
    assert picture["url"].startswith(f"{PUBLIC}/m/")
    assert (picture["alt"], picture["content_type"]) == ("The oven", "image/webp")
    assert stored.sha256 not in picture["url"]
    return picture["url"].removeprefix(PUBLIC), dict(event.payload)


async def test_a_receiver_fetches_the_picture_without_a_token(engine: Engine) -> None:
    path, _ = await sent(engine)
    async with client_of(engine) as client:
        client.session.headers.pop("Authorization")
        async with client.get(path) as answer:
            content = await answer.read()
            assert answer.status == 200
            assert answer.headers["Content-Type"] == "image/webp"
            assert answer.headers["X-Robots-Tag"] == "noindex"
            assert answer.headers["Cache-Control"].startswith("private, max-age=")
        guessed = path[:-1] + ("A" if path[-1] != "A" else "B")
        for wrong in (guessed, "/m/", "/m/guessed", f"{path}/original"):
            async with client.get(wrong) as answer:
                assert answer.status == 404, wrong
    assert content[:4] + content[8:12] == b"RIFFWEBP"


async def test_what_was_lent_is_given_back_in_time(engine: Engine, clock: SetClock) -> None:
    path, _ = await sent(engine)
    async with client_of(engine) as client:
        clock.set(clock.now() + LENT_FOR - timedelta(minutes=1))
        async with client.get(path) as answer:
            assert answer.status == 200
        clock.set(clock.now() + timedelta(minutes=2))
        async with client.get(path) as answer:
            assert answer.status == 410


async def test_a_picture_that_was_lost_is_lent_to_nobody(engine: Engine) -> None:
    path, _ = await sent(engine)
    for file in (engine.services.settings.data_dir / "media").rglob("original"):
        file.unlink()
    async with client_of(engine) as client, client.get(path) as answer:
        assert answer.status == 404


async def test_without_a_public_address_it_is_refused_before_it_is_scheduled(
    settings: Settings, practice: PracticeServer
) -> None:
    async with opened(settings, practice, connected={"webhook"}) as engine:
        stored = await upload(engine)
        with pytest.raises(RefusedError) as refused:
            await engine.post("webhook", media=[stored.id], seconds=3600)
        (error,) = refused.value.errors
        assert "no public address" in error.detail
        assert "ESTAFETTE_PUBLIC_URL" in error.remedy
        assert original_path(engine.services.settings.data_dir, stored.sha256).is_file()
        async with client_of(engine) as client, client.get("/m/x") as answer:
            assert answer.status == 404
