"""One upload, and the form of it that each channel takes."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator

from PIL import Image

from scheduler.media import StoredMedia, original_path, store_upload
from scheduler.store import media
from tests.engine.conftest import Engine


async def upload(engine: Engine, kind: str = "WEBP") -> StoredMedia:
    """A picture, taken in as the API does it."""
    data = io.BytesIO()
    Image.new("RGB", (1200, 800), "orange").save(data, kind)

    async def stream() -> AsyncIterator[bytes]:
        yield data.getvalue()

    services = engine.services
    stored = await store_upload(stream(), "oven.webp", "The oven", services.settings.data_dir)
    async with services.database.write() as connection:
        await media.add(connection, stored, services.clock.micros())
    return stored


async def test_each_channel_gets_the_picture_in_a_form_it_takes(engine: Engine) -> None:
    """Facebook refuses WebP: without a variant the post would have been refused as a whole."""
    stored = await upload(engine)
    async with engine.worker():
        post = await engine.post("facebook", "linkedin", "blog", media=[stored.id])
        await engine.settled(post, "delivered", "delivered", "delivered")

    (on_facebook,) = engine.practice.ledger.entries("facebook", kind="post")
    (photo,) = on_facebook.payload["photos"]
    assert photo["alt"] == "The oven"
    page = await engine.services.pages.by_slug("we-reopen")
    assert page is not None
    (shown,) = page.page.media
    assert (shown.content_type, shown.sha256) == ("image/webp", stored.sha256)


async def test_a_picture_lost_on_disk_is_never_left_out(engine: Engine) -> None:
    stored = await upload(engine)
    post = await engine.post("facebook", media=[stored.id])
    original_path(engine.services.settings.data_dir, stored.sha256).unlink()

    async with engine.worker():
        rows = await engine.until(
            post, lambda rows: len(rows) > 1 and all(row.finished_at for row in rows)
        )

    assert not [row for row in rows if row.state == "delivered"]
    assert engine.ledger("facebook") == []
    assert await engine.services.pages.count() == 0
