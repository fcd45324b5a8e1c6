"""Real accounts, named by the environment: `make test-live`. Never in CI."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from channels.base import Tools
from channels.http import HttpClient
from channels.registry import Registry
from tests.live import trial

pytestmark = pytest.mark.live


@pytest.fixture
async def registry() -> AsyncIterator[Registry]:
    private = bool(os.environ.get("LIVE_PRIVATE_ADDRESSES_OK"))
    async with HttpClient(private_ok=private) as http:
        yield Registry(Tools(http=http, now=lambda: datetime.now(UTC)))


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", trial.ADAPTERS)
async def test_a_post_goes_out_and_is_taken_down(
    registry: Registry, name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = trial.trial(registry[name], os.environ)
    if isinstance(found, str):
        pytest.skip(found)
    done = await trial.run(found, tmp_path)
    with capsys.disabled():
        print(f"\n{name}: {', '.join(done)}")  # noqa: T201 -- people run this by hand
