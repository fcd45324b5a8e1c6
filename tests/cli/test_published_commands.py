"""Commands about what was published: a real service that published on real practice platforms."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from channels.sandbox.faults import FaultName
from channels.sandbox.ledger import Ledger
from channels.sandbox.server import PracticeServer
from scheduler.cli.place import Place, load_settings, note
from scheduler.store import tokens
from scheduler.store.tokens import Scope
from scheduler.web.app import create_app
from tests.cli.test_service_commands import Command
from tests.engine.conftest import Engine, opened

CONNECTED = ("facebook", "mastodon", "bluesky")


@dataclass(frozen=True, slots=True)
class Published:
    """A post that is out everywhere, and the service that put it there."""

    engine: Engine
    post: str
    deliveries: dict[str, str]  # by channel
    url: str
    token: str

    def texts(self, channel: str) -> list[str]:
        return self.engine.ledger(channel)


async def _published(engine: Engine) -> tuple[str, dict[str, str]]:
    post = await engine.post(*CONNECTED)
    async with engine.worker():
        rows = await engine.settled(post, *["delivered"] * len(CONNECTED))
    names = {account: channel for channel, account in engine.accounts.items()}
    return post, {names[row.account_id]: row.id for row in rows}


async def _serve(
    data_dir: Path, url: str, ledger: Ledger, ready: Future[Published], stop: asyncio.Event
) -> None:
    settings = load_settings(data_dir=data_dir).model_copy(
        update={"database_url": url, "redis_url": "none", "private_addresses_ok": True}
    )
    async with (
        PracticeServer(ledger) as practice,
        opened(settings, practice, connected=CONNECTED) as engine,
    ):
        post, deliveries = await _published(engine)
        async with engine.services.database.write() as connection:
            made = await tokens.create(connection, name="test", scopes=[Scope.ADMIN], now=1)
        app = create_app(engine.services)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        at = f"http://127.0.0.1:{runner.addresses[0][1]}"
        ready.set_result(Published(engine, post, deliveries, at, made.secret))
        await stop.wait()
        await runner.cleanup()


@pytest.fixture
def published(tmp_path: Path, sqlite_url: str, ledger: Ledger) -> Iterator[Published]:
    """In a thread of its own, as the commands bring their own loop."""
    ready: Future[Published] = Future()
    stop = asyncio.Event()
    loop = asyncio.new_event_loop()

    async def whole() -> None:
        try:
            await _serve(tmp_path, sqlite_url, ledger, ready, stop)
        except BaseException as error:
            if ready.done():
                raise
            ready.set_exception(error)

    def run() -> None:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(whole())

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield ready.result(60)
    finally:
        with suppress(RuntimeError):  # it ended by itself
            loop.call_soon_threadsafe(stop.set)
        thread.join()


@pytest.fixture
def command(published: Published, tmp_path: Path) -> Command:
    note(tmp_path, Place(published.url, published.token))
    return Command(tmp_path)


def fates(answer: dict[str, Any]) -> dict[str, str]:
    return {one["channel"]: one["fate"] for one in answer["deliveries"]}


def test_everything_that_was_published_is_taken_down(
    published: Published, command: Command
) -> None:
    assert all(published.texts(channel) for channel in CONNECTED)
    said = command.json("posts", "withdraw", published.post)
    assert fates(said) == dict.fromkeys(CONNECTED, "withdrawn")
    assert [published.texts(channel) for channel in CONNECTED] == [[], [], []]
    assert "withdrawn" in command("posts", "show", published.post).stdout
    again = command("posts", "withdraw", published.post)
    assert (again.returncode, again.stdout.count("already")) == (0, 3), again.stderr


def test_one_delivery_is_taken_down_and_the_others_stand(
    published: Published, command: Command
) -> None:
    done = command("posts", "withdraw", published.post, "--delivery",
                   published.deliveries["facebook"])  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "withdrawn" in done.stdout
    assert published.texts("facebook") == []
    assert published.texts("mastodon") != []
    assert published.texts("bluesky") != []


def test_what_still_stands_is_told_by_the_exit_code(published: Published, command: Command) -> None:
    published.engine.fault("facebook", FaultName.TOKEN_DEAD)
    done = command("posts", "withdraw", published.post)
    assert done.returncode == 1
    assert "access-lost" in done.stdout
    assert published.texts("facebook") != []
    assert published.texts("mastodon") == []


def test_the_words_of_what_was_published_are_corrected(
    published: Published, command: Command
) -> None:
    done = command("posts", "edit", published.post, "--body", "Not on Monday.")
    assert done.returncode == 1  # Bluesky keeps the old words
    assert "impossible" in done.stdout
    assert "change it there by hand" in " ".join(done.stdout.split())
    for channel in ("facebook", "mastodon"):
        (text,) = published.texts(channel)
        assert "Not on Monday." in text
    (kept,) = published.texts("bluesky")
    assert "Come and see us." in kept
    shown = command.json("posts", "show", published.post)
    assert (shown["title"], shown["content"]["body"]) == ("We reopen", "Not on Monday.")


def test_what_one_channel_says_is_corrected_alone(published: Published, command: Command) -> None:
    before = published.texts("mastodon")
    done = command("posts", "edit", published.post, "--channel", "facebook", "--body", "For you.")
    assert (done.returncode, done.stdout.count("edited")) == (0, 1), done.stderr
    assert "For you." in published.texts("facebook")[0]
    assert published.texts("mastodon") == before
    refused = command("posts", "edit", published.post, "-c", "bluesky", "--body", "For you.")
    assert refused.returncode == 4
    assert "variants.bluesky: this channel cannot change what it published" in refused.stderr


def test_an_edit_without_words_or_of_no_post_is_refused(
    published: Published, command: Command
) -> None:
    empty = command("posts", "edit", published.post)
    assert (empty.returncode, "nothing to change" in empty.stderr) == (4, True)
    assert command("posts", "edit", "none", "--title", "x").returncode == 4
    assert command("posts", "withdraw", "none").returncode == 4
    assert command("posts", "withdraw", published.post, "--delivery", "none").returncode == 4
    assert all("Come and see us." in published.texts(channel)[0] for channel in CONNECTED)
