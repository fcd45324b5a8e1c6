"""The front page of the practice platforms."""

from __future__ import annotations

import re
import shlex
from html import unescape
from pathlib import Path

from pydantic import SecretStr

from channels.http import HttpClient
from channels.registry import ADAPTERS, adapter_named
from channels.sandbox.ledger import Ledger
from channels.sandbox.server import PracticeServer
from scheduler.cli.practice import practised
from scheduler.settings import Settings


async def test_it_shows_what_was_published_and_how_to_connect(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.db")
    async with HttpClient(private_ok=True) as http, PracticeServer(ledger) as server:
        ledger.write("mastodon", "rosa", kind="post", remote_id="1", text="Bread <b>& butter</b>.")
        page = await http.request("GET", server.url)
        assert page.status == 200
        assert "Bread &lt;b&gt;&amp; butter&lt;/b&gt;." in page.text
        commands = [unescape(one) for one in re.findall("<pre>(.*?)</pre>", page.text, re.DOTALL)]
        assert len(commands) == len(server.accounts())
        for command, account in zip(commands, server.accounts(), strict=True):
            words = shlex.split(command)
            assert words[:5] == ["estafette", "accounts", "connect", account.adapter, account.name]
            assert {word.partition("=")[0] for word in words[5:]} == {"--set"}
            assert len(words) - 5 == len(account.settings)
    ledger.close()


async def test_logins_can_be_practised_unless_an_application_is_set_up(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.db")
    async with PracticeServer(ledger) as server:
        none = practised(Settings(data_dir=tmp_path), server)
        assert none.practice_port == server.port
        assert {"facebook", "linkedin", "messenger"} <= server.apps().keys()
        assert server.url in none.apps.get_secret_value()
        own = Settings(data_dir=tmp_path, apps=SecretStr('{"facebook": {"app_id": "77"}}'))
        kept = practised(own, server).apps.get_secret_value()
        assert '"facebook": {"app_id": "77"}' in kept
        assert '"linkedin"' in kept
    ledger.close()


def test_what_people_call_an_adapter_is_one() -> None:
    called = ("wordpress", "ghost", "smtp", "bluesky")
    assert {adapter_named(name) for name in called} <= set(ADAPTERS)
    assert adapter_named("unheard-of") == "unheard-of"
