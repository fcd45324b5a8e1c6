"""Pictures taken in, cleaned, kept, and made again as channels need them: real files."""

from __future__ import annotations

import asyncio
import io
import random
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageChops

from channels.base import Capabilities
from scheduler.media import (
    MAX_UPLOAD_BYTES,
    MediaError,
    StoredMedia,
    original_path,
    scaled,
    store_upload,
    variant_for,
)

ORIENTATION, CAMERA, GPS = 0x0112, 0x0110, 0x8825


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def noise(width: int, height: int) -> Image.Image:
    """A picture that compresses badly."""
    return Image.frombytes("RGB", (width, height), random.Random(1).randbytes(width * height * 3))


def halves() -> Image.Image:
    """Red above, blue below: shows which way up it is."""
    image = Image.new("RGB", (40, 20), "blue")
    image.paste("red", (0, 0, 40, 10))
    return image


async def upload(data: bytes, folder: Path, *, chunk: int = 1000) -> StoredMedia:
    async def stream() -> AsyncIterator[bytes]:
        for start in range(0, len(data), chunk):
            yield data[start : start + chunk]

    return await store_upload(stream(), "../holiday.jpg", "The beach", folder)


def kept(stored: StoredMedia, folder: Path) -> Image.Image:
    return Image.open(original_path(folder, stored.sha256))


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


async def test_a_picture_is_kept_by_its_hash_once(tmp_path: Path) -> None:
    data = encoded(halves(), "PNG")

    first, again = await upload(data, tmp_path), await upload(data, tmp_path, chunk=7)

    assert first.sha256 == again.sha256
    assert first.id != again.id
    assert (first.width, first.height, first.content_type) == (40, 20, "image/png")
    assert first.filename == "holiday.jpg"
    assert files(tmp_path) == [original_path(tmp_path, first.sha256)]
    media = first.as_media(tmp_path)
    assert media.path is not None
    assert media.path.stat().st_size == first.size == media.size


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
async def test_nobody_learns_where_and_with_what_it_was_taken(tmp_path: Path, kind: str) -> None:
    exif = Image.Exif()
    exif[CAMERA] = "SecretCam 9000"
    exif.get_ifd(GPS)[1] = "N"
    data = encoded(halves(), kind, exif=exif, xmp=b"<x:xmpmeta>SecretXmp</x:xmpmeta>")
    assert b"SecretCam" in data

    stored = await upload(data, tmp_path)

    cleaned = original_path(tmp_path, stored.sha256).read_bytes()
    assert b"Secret" not in cleaned
    with kept(stored, tmp_path) as image:
        assert not image.getexif()


async def test_comments_go_too(tmp_path: Path) -> None:
    data = encoded(halves(), "JPEG", comment=b"SecretComment")
    assert b"SecretComment" in data

    stored = await upload(data, tmp_path)

    assert b"Secret" not in original_path(tmp_path, stored.sha256).read_bytes()


async def test_it_stands_the_right_way_up_for_everyone(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = 6  # turn it a quarter clockwise to see it
    stored = await upload(encoded(halves(), "JPEG", exif=exif, quality=95), tmp_path)

    assert (stored.width, stored.height) == (20, 40)
    with kept(stored, tmp_path) as image:
        assert image.size == (20, 40)
        right, left = image.getpixel((18, 20)), image.getpixel((1, 20))
    assert isinstance(right, tuple)
    assert isinstance(left, tuple)
    assert right[0] > 2 * right[2]  # what was red above is now on the right
    assert left[2] > 2 * left[0]


async def test_a_photo_keeps_its_quality(tmp_path: Path) -> None:
    data = encoded(Image.radial_gradient("L").convert("RGB"), "JPEG", quality=93)

    stored = await upload(data, tmp_path)

    with kept(stored, tmp_path) as after, Image.open(io.BytesIO(data)) as before:
        assert getattr(after, "quantization", 0) == getattr(before, "quantization", 1)
        furthest = max(ImageChops.difference(after, before).tobytes())
        assert furthest <= 2


async def test_colours_keep_their_profile(tmp_path: Path) -> None:
    stored = await upload(encoded(halves(), "JPEG", icc_profile=b"a profile"), tmp_path)

    with kept(stored, tmp_path) as image:
        assert image.info["icc_profile"] == b"a profile"


async def test_an_animation_goes_on_moving(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (10, 10), colour) for colour in ("red", "green", "blue")]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:], duration=100)

    stored = await upload(data, tmp_path)

    with kept(stored, tmp_path) as image:
        assert getattr(image, "n_frames", 1) == 3


BAD: list[tuple[str, bytes, str]] = [
    ("nothing", b"", "media-empty"),
    ("text", b"hello, world" * 100, "media-type"),
    ("a page that says it is a picture", b"GIF89a<script>alert(1)</script>", "media-type"),
    ("svg", b'<svg xmlns="http://www.w3.org/2000/svg"/>', "media-type"),
    ("another format of Pillow's", encoded(halves(), "BMP"), "media-type"),
    ("half a photo", encoded(noise(200, 200), "JPEG")[:20_000], "media-damaged"),
    ("half a drawing", encoded(noise(200, 200), "PNG")[:20_000], "media-damaged"),
]


@pytest.mark.parametrize(("data", "code"), [row[1:] for row in BAD], ids=[row[0] for row in BAD])
async def test_what_is_no_picture_is_refused_and_nothing_kept(
    tmp_path: Path, data: bytes, code: str
) -> None:
    with pytest.raises(MediaError) as refused:
        await upload(data, tmp_path)

    assert refused.value.code == code
    assert refused.value.field == "file"
    assert refused.value.remedy
    assert files(tmp_path) == []


async def test_a_bomb_is_refused_before_it_unfolds(tmp_path: Path) -> None:
    """A few kilobytes that would be gigabytes in memory."""
    for size in ((12_000, 12_000), (20_000, 20_000)):
        data = encoded(Image.new("1", size), "PNG", optimize=True)
        assert len(data) < 200_000
        with pytest.raises(MediaError) as refused:
            await upload(data, tmp_path)
        assert refused.value.code == "media-too-many-pixels"
    assert files(tmp_path) == []


async def test_an_endless_upload_is_stopped(tmp_path: Path) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 1024 * 1024
            yield b"x" * 1024 * 1024

    with pytest.raises(MediaError) as refused:
        await store_upload(endless(), "x", "", tmp_path)

    assert refused.value.code == "media-too-large"
    assert sent <= MAX_UPLOAD_BYTES + 1024 * 1024
    assert files(tmp_path) == []


# --- variants ------------------------------------------------------------------------------------


def takes(*types: str, **limits: int) -> Capabilities:
    return Capabilities(
        text_limit=None,
        image_types=frozenset(types),
        image_max_bytes=limits.get("max_bytes"),
        image_max_pixels=limits.get("max_pixels"),
    )


@pytest.mark.parametrize("target", ["image/jpeg", "image/png", "image/webp"])
@pytest.mark.parametrize("kind", ["PNG", "WEBP", "GIF"])
async def test_a_picture_becomes_what_the_channel_takes(
    tmp_path: Path, kind: str, target: str
) -> None:
    see_through = Image.new("RGBA", (30, 20), (255, 0, 0, 0))
    stored = await upload(encoded(see_through, kind), tmp_path)

    variant = await variant_for(stored.as_media(tmp_path), takes(target), tmp_path)

    assert variant.content_type == target
    assert variant.alt == "The beach"
    assert variant.sha256 == stored.sha256
    assert variant.path is not None
    with Image.open(variant.path) as image:
        assert Image.MIME[str(image.format)] == target
        assert (image.width, image.height) == (variant.width, variant.height) == (30, 20)
        if target == "image/jpeg":
            assert image.getpixel((5, 5)) == (255, 255, 255)  # paper, not black


@pytest.mark.parametrize("kind", ["image/jpeg", "image/png"])
@pytest.mark.parametrize("limit", [100_000, 20_000, 2_000])
async def test_a_picture_gets_as_small_as_the_channel_wants(
    tmp_path: Path, kind: str, limit: int
) -> None:
    stored = await upload(encoded(noise(300, 200), "PNG"), tmp_path)
    assert stored.size > limit

    variant = await variant_for(stored.as_media(tmp_path), takes(kind, max_bytes=limit), tmp_path)

    assert variant.size is not None
    assert variant.path is not None
    assert variant.size == variant.path.stat().st_size <= limit


async def test_a_channel_that_takes_no_byte_is_said_so(tmp_path: Path) -> None:
    stored = await upload(encoded(noise(20, 20), "PNG"), tmp_path)

    with pytest.raises(MediaError, match="smaller than 10 bytes"):
        await variant_for(stored.as_media(tmp_path), takes("image/png", max_bytes=10), tmp_path)


async def test_what_fits_is_the_original(tmp_path: Path) -> None:
    stored = await upload(encoded(halves(), "PNG"), tmp_path)
    media = stored.as_media(tmp_path)

    assert await variant_for(media, takes("image/png"), tmp_path) == media


async def test_a_variant_is_made_once_however_many_ask(tmp_path: Path) -> None:
    stored = await upload(encoded(noise(300, 200), "PNG"), tmp_path)
    media, channel = stored.as_media(tmp_path), takes("image/jpeg", max_pixels=1000)

    made = await asyncio.gather(*(variant_for(media, channel, tmp_path) for _ in range(8)))

    assert len(set(made)) == 1
    assert len(files(tmp_path)) == 2
    assert made[0].path is not None
    changed = made[0].path.stat().st_mtime_ns
    assert await variant_for(media, channel, tmp_path) == made[0]
    assert made[0].path.stat().st_mtime_ns == changed


async def test_a_size_for_readers_is_never_larger_than_the_picture(tmp_path: Path) -> None:
    stored = await upload(encoded(noise(300, 200), "PNG"), tmp_path)

    for width, expected in ((100, (100, 67)), (1600, (300, 200))):
        path = await scaled(tmp_path, stored.sha256, width=width, content_type="image/webp")
        assert path is not None
        with Image.open(path) as image:
            assert image.size == expected
    assert await scaled(tmp_path, "0" * 64, width=1, content_type="image/webp") is None


async def test_media_without_a_file_stay_as_they_are(tmp_path: Path) -> None:
    stored = await upload(encoded(halves(), "PNG"), tmp_path)
    remote = replace(stored.as_media(tmp_path), path=None, url="https://a.example/x.png")

    assert await variant_for(remote, takes("image/jpeg"), tmp_path) == remote
