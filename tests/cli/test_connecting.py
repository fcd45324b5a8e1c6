"""`accounts connect` and `accounts login` against the practice platforms."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path

import pytest

from channels.sandbox.ledger import Ledger
from channels.sandbox.server import PracticeAccount, PracticeServer
from scheduler.cli.place import Place, load_settings, note
from tests.cli.test_service_commands import Command, running

ADAPTERS = ("blog.wordpress", "blog.ghost", "newsletter", "mastodon", "bluesky", "webhook")


@pytest.fixture
def practice_accounts(tmp_path: Path) -> Iterator[dict[str, PracticeAccount]]:
    """The practice platforms in a thread of their own, as the commands bring their own loop."""
    ready: Future[list[PracticeAccount]] = Future()
    stops: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def whole() -> None:
        stop = asyncio.Event()
        stops.append((asyncio.get_running_loop(), stop))
        ledger = Ledger(tmp_path / "ledger.db")
        async with PracticeServer(ledger) as server:
            ready.set_result(server.accounts())
            await stop.wait()
        ledger.close()

    thread = threading.Thread(target=asyncio.run, args=(whole(),))
    thread.start()
    try:
        yield {account.adapter: account for account in ready.result(60)}
    finally:
        for loop, stop in stops:
            loop.call_soon_threadsafe(stop.set)
        thread.join()


@pytest.fixture
def command(tmp_path: Path) -> Iterator[Command]:
    """A service that may reach this machine."""
    with running(load_settings(data_dir=tmp_path, private_addresses_ok=True)) as (url, token):
        note(tmp_path, Place(url, token))
        yield Command(tmp_path)


def test_each_kind_is_connected_by_its_registry_name(
    command: Command, practice_accounts: dict[str, PracticeAccount]
) -> None:
    for adapter in ADAPTERS:
        settings = json.dumps(dict(practice_accounts[adapter].settings))
        made = command.json(
            "accounts", "connect", adapter, f"My {adapter}", "--file", "-", stdin=settings
        )
        assert (made["adapter"], made["status"]) == (adapter, "healthy")
    assert len(command.json("accounts", "list")) == len(ADAPTERS)


def test_what_does_not_answer_is_refused_unless_one_insists(
    command: Command, practice_accounts: dict[str, PracticeAccount]
) -> None:
    held = dict(practice_accounts["mastodon"].settings)
    settings = json.dumps({**held, "base_url": "http://127.0.0.1:1"})
    connect = ("accounts", "connect", "mastodon", "Ours", "--file", "-")
    refused = command(*connect, stdin=settings)
    assert refused.returncode != 0
    assert "Remedy: " in refused.stderr
    assert held["access_token"] not in refused.stderr
    assert command.json("accounts", "list") == []
    assert command.json(*connect, "--no-check", stdin=settings)["name"] == "Ours"


def test_a_login_without_an_application_says_what_to_set(command: Command) -> None:
    refused = command("accounts", "login", "facebook")
    assert refused.returncode != 0
    assert "ESTAFETTE_APPS" in refused.stderr
