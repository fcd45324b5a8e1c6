"""`accounts connect` and `accounts login` against the practice platforms."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import subprocess
import sys
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
    with running(load_settings(data_dir=tmp_path, private_addresses_ok=True)) as served:
        note(tmp_path, Place(served.url, served.token))
        yield Command(tmp_path, served.names)


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


def test_short_names_and_settings_written_one_by_one_do_as_well(
    command: Command, practice_accounts: dict[str, PracticeAccount]
) -> None:
    names = {"wordpress": "blog.wordpress", "ghost": "blog.ghost", "facebook": "facebook"}
    for name, adapter in {**names, "linkedin": "linkedin"}.items():
        held = practice_accounts[adapter].settings
        given = [f"--set={field}={value}" for field, value in held.items() if field != "categories"]
        made = command.json("accounts", "connect", name, "Ours", *given)
        assert (made["adapter"], made["status"]) == (adapter, "healthy")
    held = practice_accounts["newsletter"].settings
    relay = held["relays"][0]
    given = [f"--set=relays.0.{field}={value}" for field, value in relay.items()]
    given += [f"--set={field}={held[field]}" for field in ("from_address", "publisher")]
    made = command.json("accounts", "connect", "smtp", "Letters", *given)
    assert (made["adapter"], made["status"]) == ("newsletter", "healthy")
    assert made["settings"]["relays"][0]["port"] == relay["port"]


def test_a_kind_or_a_setting_that_does_not_exist_is_named(command: Command) -> None:
    refused = command("accounts", "connect", "wordpres", "Ours", "--set", "url=https://a.example")
    assert refused.returncode != 0
    assert "wordpres" in refused.stderr
    assert "blog.wordpress" in refused.stderr
    mastodon = ("accounts", "connect", "mastodon", "Ours", "--set", "base_url=https://a.example")
    refused = command(*mastodon, "--set", "base_url.0=https://a.example")
    assert refused.returncode != 0
    assert "base_url.0" in refused.stderr
    assert "access_token" in command(*mastodon).stderr


def test_what_is_missing_is_asked_for_and_a_secret_is_not_shown(
    tmp_path: Path, command: Command, practice_accounts: dict[str, PracticeAccount]
) -> None:
    held = practice_accounts["blog.wordpress"].settings
    typed = [held["username"], held["application_password"]]
    shown = at_a_terminal(
        tmp_path, ["accounts", "connect", "wordpress", "Ours", f"--set=url={held['url']}"], typed
    )
    assert "healthy" in shown
    assert held["username"] in shown
    assert held["application_password"] not in shown
    (account,) = command.json("accounts", "list")
    assert account["settings"]["username"] == held["username"]


def at_a_terminal(folder: Path, arguments: list[str], lines: list[str]) -> str:
    """What a person sees who runs the command and types these lines, each when asked."""
    at, terminal = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "scheduler", *arguments],
        stdin=terminal, stdout=terminal, stderr=terminal,
        env={**os.environ, "ESTAFETTE_DATA_DIR": str(folder), "TERM": "dumb"},
    )  # fmt: skip
    os.close(terminal)
    shown = b""
    try:
        while True:
            shown += os.read(at, 1000)
            if lines and shown.endswith(b": "):
                os.write(at, f"{lines.pop(0)}\n".encode())
    except OSError:  # it ended
        pass
    finally:
        os.close(at)
        assert process.wait(60) == 0, shown
    return shown.decode()
