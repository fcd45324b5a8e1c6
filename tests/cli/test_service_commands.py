"""Commands that talk to a running service: a real API on a real socket."""

from __future__ import annotations

import asyncio
import json
import threading
import urllib.request
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from scheduler.cli.place import Place, load_settings, note
from scheduler.services import open_services
from scheduler.settings import Settings
from scheduler.store import tokens
from scheduler.store.migrate import migrate
from scheduler.store.tokens import Scope
from scheduler.web.app import create_app
from tests.support.command import Done, estafette
from tests.support.dns import NameServer

LATER = f"{datetime.now(UTC) + timedelta(days=300):%Y-%m-%dT09:00:00}"


@dataclass(frozen=True, slots=True)
class Served:
    """A running service: where, a token that may do everything, and whom it asks for names."""

    url: str
    token: str
    names: str


async def serve(settings: Settings, ready: Future[Served], stop: asyncio.Event) -> None:
    async with (
        NameServer({}) as names,
        open_services(settings.model_copy(update={"dns_server": names.address})) as services,
    ):
        await migrate(services.database)
        async with services.database.write() as connection:
            made = await tokens.create(connection, name="test", scopes=[Scope.ADMIN], now=1)
        runner = web.AppRunner(create_app(services), access_log=None, shutdown_timeout=1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        ready.set_result(Served(url, made.secret, names.address))
        await stop.wait()
        await runner.cleanup()


@contextmanager
def running(settings: Settings) -> Iterator[Served]:
    """The API in a thread of its own, as the commands bring their own loop."""
    ready: Future[Served] = Future()
    stops: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def whole() -> None:
        stop = asyncio.Event()
        stops.append((asyncio.get_running_loop(), stop))
        try:
            await serve(settings, ready, stop)
        except BaseException as error:
            if not ready.done():
                ready.set_exception(error)
            raise

    thread = threading.Thread(target=asyncio.run, args=(whole(),))
    thread.start()
    try:
        yield ready.result(60)
    finally:
        for loop, stop in stops:
            loop.call_soon_threadsafe(stop.set)
        thread.join()


class Command:
    """`estafette` beside a running service."""

    def __init__(self, data_dir: Path, names: str = "") -> None:
        self.data_dir = data_dir
        self.names = names

    def __call__(self, *arguments: str, stdin: str = "") -> Done:
        return estafette(*arguments, data_dir=self.data_dir, stdin=stdin)

    def json(self, *arguments: str, stdin: str = "") -> Any:
        done = self(*arguments, "--json", stdin=stdin)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


@pytest.fixture
def command(tmp_path: Path) -> Iterator[Command]:
    settings = load_settings(data_dir=tmp_path)
    with running(settings) as served:
        note(tmp_path, Place(served.url, served.token))
        yield Command(tmp_path, served.names)


def connected(command: Command, name: str = "Our site") -> str:
    settings = "base_url=https://site.example.org"
    account = command.json("accounts", "connect", "blog", name, "--set", settings)
    return str(account["id"])


def test_a_post_from_flags_is_listed_shown_and_cancelled(command: Command) -> None:
    account_id = connected(command)
    post = command.json("post", "-t", "We reopen", "-b", "On *Monday*", "--at", LATER)
    (delivery,) = post["deliveries"]
    assert (delivery["account_id"], delivery["state"]) == (account_id, "scheduled")
    (listed,) = command.json("posts", "list")
    assert listed["id"] == post["id"]
    shown = command("posts", "show", post["id"])
    assert "We reopen" in shown.stdout
    assert "scheduled" in shown.stdout
    cancelled = command.json("posts", "cancel", post["id"])
    assert [each["state"] for each in cancelled["deliveries"]] == ["cancelled"]
    assert "post.accepted" in command("posts", "timeline", post["id"]).stdout


def test_a_file_brings_its_fields_and_flags_win(command: Command) -> None:
    connected(command)
    file = f"---\ntitle: From the file\nat: {LATER}\ntags: [news]\n---\nIts *text*"
    post = command.json("post", "-", "--title", "From the flag", stdin=file)
    assert post["title"] == "From the flag"
    assert post["content"]["body"] == "Its *text*"
    assert post["content"]["tags"] == ["news"]
    assert post["at"].startswith(LATER)


def test_the_same_key_makes_one_post(command: Command) -> None:
    connected(command)
    arguments = ("post", "-t", "Once", "-b", "Words", "--at", LATER, "--key", "k1")
    assert command.json(*arguments)["id"] == command.json(*arguments)["id"]
    assert len(command.json("posts", "list")) == 1


def test_a_preview_stores_nothing(command: Command) -> None:
    connected(command)
    plan = command.json("post", "-t", "Later", "-b", "Words", "--preview")
    assert [message["title"] for message in plan["deliveries"]] == ["Later"]
    assert command.json("posts", "list") == []


def test_a_refusal_names_the_field_and_the_remedy(command: Command) -> None:
    connected(command)
    refused = command("post", "-t", "x", "--at", "2001-01-01T00:00:00Z")
    assert refused.returncode == 4
    assert "  at: " in refused.stderr
    assert "Remedy: " in refused.stderr
    unknown = command("post", "-", stdin="---\ntitel: x\n---\nBody")
    assert unknown.returncode == 4
    assert "titel" in unknown.stderr


def test_accounts_are_paused_resumed_and_archived(command: Command) -> None:
    account_id = connected(command)
    assert command.json("accounts", "pause", account_id)["paused"] is True
    assert command.json("accounts", "resume", account_id)["paused"] is False
    assert command("accounts", "archive", account_id).returncode == 0
    assert command.json("accounts", "list") == []


def test_connecting_takes_json_from_stdin_and_names_what_is_wrong(command: Command) -> None:
    settings = json.dumps({"base_url": "nowhere"})
    refused = command("accounts", "connect", "blog", "x", "--file", "-", stdin=settings)
    assert refused.returncode == 4
    assert "base_url" in refused.stderr
    missing = command("accounts", "connect", "blog", "x", "--set", "base_url")
    assert (missing.returncode, "NAME=VALUE" in missing.stderr) == (2, True)
    assert "base_url*" in command("accounts", "channels").stdout


def test_a_route_is_written_and_reset(command: Command) -> None:
    first, second = connected(command, "One"), connected(command, "Two")
    written = command.json("routes", "set", first, second, "--note", "meanwhile")
    assert (written["fallbacks"], written["default"]) == ([second], False)
    assert "Two" in command("routes", "list").stdout
    again = command("routes", "set", first, second)
    assert ("Two" in again.stdout, second in again.stdout) == (True, False), again.stderr
    assert command.json("routes", "reset", first)["default"] is True


def test_a_token_that_opens_nothing_is_told(command: Command, tmp_path: Path) -> None:
    url = json.loads((tmp_path / "service.json").read_text())["url"]
    done = estafette("--url", url, "--token", "est_wrong", "posts", "list", data_dir=tmp_path)
    assert done.returncode == 4
    assert "token" in done.stderr


def test_a_drill_names_the_other_road_or_its_lack_and_is_remembered(command: Command) -> None:
    first, second = connected(command), connected(command, "Archive")
    command.json("post", "-t", "We reopen", "-b", "Words", "--kind", "essential", "--at", LATER,
                 "--account", first)  # fmt: skip
    alone = command("drill", "Our site", "--gone")
    assert alone.returncode == 0, alone.stderr
    assert "1 would be held" in alone.stdout
    assert "never rehearsed" not in command("doctor").stdout
    written = command.json("routes", "set", first, second)
    assert written["warnings"] == []
    made = command.json("drill", first)
    assert [line["to"] for line in made["report"]["lines"]] == ["Archive"]
    unclear = command("drill", "blog")
    assert unclear.returncode != 0
    assert "several accounts" in unclear.stderr


def test_the_basket_is_a_number(command: Command) -> None:
    connected(command)
    assert command.json("basket")["unknown"] == ["Our site"]
    assert "not known" in command("basket").stdout


def test_a_segment_is_named_by_a_post_and_stays_while_it_waits(command: Command) -> None:
    connected(command)
    made = command.json("segments", "add", "VIP", '{"kind": "tag", "is": "vip"}')
    assert made["count"] == 0
    command.json("post", "-t", "For few", "-b", "Words", "--at", LATER, "--to", made["id"])
    refused = command("segments", "remove", made["id"])
    assert refused.returncode == 4
    assert "“For few”" in refused.stderr
    asleep = command.json("segments", "add", "Ask again", "--asleep", "12")
    assert "not_for_months" in str(asleep["filter"])
    assert "0 readers now" in command("segments", "count", asleep["id"]).stdout
    assert command("segments", "remove", asleep["id"]).returncode == 0
    assert [one["name"] for one in command.json("segments", "list")] == ["VIP"]
    assert command("segments", "add", "None").returncode == 2


def test_a_newsletter_is_shown_before_it_goes_out(command: Command, tmp_path: Path) -> None:
    settings = {
        "from_address": "lettre@shop.example.org", "publisher": "12 quai des Brumes, Nantes",
        "relays": [{"host": "127.0.0.1", "port": 9, "tls": "none"}],
    }  # fmt: skip
    place = json.loads((tmp_path / "service.json").read_text())
    request = urllib.request.Request(  # noqa: S310 -- our own address
        f"{place['url']}/api/v1/accounts",
        json.dumps({"adapter": "newsletter", "name": "La lettre", "settings": settings,
                    "check": False}).encode(),
        {"Authorization": f"Bearer {place['token']}", "Content-Type": "application/json"},
    )  # fmt: skip
    with urllib.request.urlopen(request) as answer:  # noqa: S310
        assert answer.status == 201
    mail = "---\ntitle: Bonjour\n---\nA **word**"
    shown = command("proof", "-", "--html", str(tmp_path / "mail.html"), stdin=mail)
    assert shown.returncode == 0, shown.stderr
    assert "Bonjour" in shown.stdout
    assert "A word" in shown.stdout
    assert "<strong>word</strong>" in (tmp_path / "mail.html").read_text()
    refused = command("proof", "-", "--to", "me@x.org", stdin=mail)
    assert refused.returncode == 1
    assert "Not sent" in refused.stdout


@pytest.fixture
def _silent_dns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody listens there."""
    monkeypatch.setenv("ESTAFETTE_DNS_SERVER", "127.0.0.1:9")


@pytest.mark.usefixtures("_silent_dns")
def test_a_newsletter_learns_what_to_publish_and_gets_a_key(command: Command) -> None:
    """The relay is not there, which is a finding like the others; so is DNS that knows nothing."""
    settings = {
        "from_address": "letter@shop.example.org", "publisher": "The shop",
        "relays": [{"host": "127.0.0.1", "port": 1, "tls": "none"}],
    }  # fmt: skip
    sets = [f"--set={name}={json.dumps(value)}" for name, value in settings.items()]
    made = command.json("accounts", "connect", "newsletter", "Letter", "--no-check", *sets)
    looked = command("accounts", "deliverability", made["id"])
    assert looked.returncode == 1, looked.stderr
    assert "127.0.0.1:1" in looked.stdout

    key = command.json("accounts", "dkim", made["id"], "--selector", "s1")
    assert (key["active"], key["record"]["name"]) == (False, "s1._domainkey.shop.example.org")
    shown = estafette("doctor", data_dir=command.data_dir, ESTAFETTE_DNS_SERVER=command.names)
    assert "deliverability Letter" in shown.stdout
    assert "BEGIN" not in shown.stdout
    assert command("accounts", "deliverability", connected(command)).returncode != 0
