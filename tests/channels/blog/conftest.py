"""What the tests of the three blogs share."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from PIL import Image

from channels.base import Tools
from channels.http import HttpClient
from channels.posts import Media
from tests.channels.replay import Replay

NOON = datetime(2026, 5, 2, 12, 0, tzinfo=UTC)


@pytest.fixture
async def tools() -> AsyncIterator[Tools]:
    """At noon of a day in May."""
    async with HttpClient(private_ok=True) as http:
        yield Tools(http=http, now=lambda: NOON)


@pytest.fixture
async def replay() -> AsyncIterator[Replay]:
    async with Replay() as running:
        yield running


@pytest.fixture
def picture(tmp_path: Path) -> Callable[..., Media]:
    """Makes a picture on disk: `picture("orange", alt="The door")`."""

    def make(colour: str = "orange", *, alt: str = "The door") -> Media:
        content = io.BytesIO()
        Image.new("RGB", (60, 40), colour).save(content, "JPEG")
        path = tmp_path / f"{colour}.jpg"
        path.write_bytes(content.getvalue())
        return Media(id=colour, content_type="image/jpeg", alt=alt, path=path)

    return make
