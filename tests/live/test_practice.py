"""What `make test-live` does, done on the practice platforms, so that it works on the day."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from channels.base import Tools
from channels.http import HttpClient
from channels.registry import ADAPTERS, Registry
from channels.sandbox.server import PracticeServer
from tests.live import trial


@pytest.fixture
async def registry() -> AsyncIterator[Registry]:
    async with HttpClient(private_ok=True) as http:
        yield Registry(Tools(http=http, now=lambda: datetime.now(UTC)))


@pytest.mark.parametrize("name", trial.ADAPTERS)
async def test_the_trial_passes_on_the_practice_platform(
    registry: Registry, practice: PracticeServer, name: str, tmp_path: Path
) -> None:
    account = next(one for one in practice.accounts() if one.adapter == name)
    channel = registry[name]
    to = ""
    if channel.capabilities.addressed:
        to = account.contacts[0]["address"] if account.contacts else "amelie@example.org"
    found = trial.trial(channel, trial.variables(channel, account.settings, to))
    assert isinstance(found, trial.Trial)
    done = await trial.run(found, tmp_path)
    assert len(done) >= 2 or channel.capabilities.address == "email"


def test_every_channel_but_our_own_can_be_tried() -> None:
    assert {*trial.ADAPTERS, "blog"} == set(ADAPTERS)


@pytest.mark.parametrize("name", trial.ADAPTERS)
def test_a_channel_without_its_variables_says_which(registry: Registry, name: str) -> None:
    said = trial.trial(registry[name], {})
    assert isinstance(said, str)
    assert all(variable in said for variable in trial.wanted(registry[name]))
    readme = (Path(__file__).parent / "README.md").read_text()
    assert all(f"`{variable}`" in readme for variable in trial.wanted(registry[name]))
