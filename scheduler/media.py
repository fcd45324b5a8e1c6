"""Pictures: taken in once, cleaned, kept by their hash, and made again as each channel needs.

A file is what Pillow finds in it, whatever its name or header say. What is kept has its
orientation applied and no EXIF: where and with which camera it was taken is nobody's business.
Layout: `media/ab/abcd…/original`, and the variants made of it beside it.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import tempfile
from collections.abc import AsyncIterable, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import uuid_utils

from channels.base import Capabilities, Channel
from channels.media import plan_variant, showing, shown
from channels.posts import Media, Post

MAX_UPLOAD_BYTES = 40 * 1024 * 1024
MAX_PIXELS = 80_000_000
# All frames of an animation together.
MAX_ANIMATED_PIXELS = 400_000_000

_SUFFIX = {"image/jpeg": "jpg", "image/png": "png", "image/gif": "gif", "image/webp": "webp"}


class MediaError(ValueError):
    """A file that cannot be used: `field` it came in, why, and what to do."""

    def __init__(self, code: str, detail: str, remedy: str, *, field: str = "file") -> None:
        super().__init__(f"{field}: {detail}; {remedy}")
        self.code = code
        self.detail = detail
        self.remedy = remedy
        self.field = field


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredMedia:
    """A picture as kept. `size` in bytes; `sha256` of the cleaned file."""

    id: str
    sha256: str
    content_type: str
    filename: str
    alt: str
    width: int
    height: int
    size: int

    def as_media(self, data_dir: Path) -> Media:
        return Media(
            id=self.id,
            content_type=self.content_type,
            alt=self.alt,
            path=original_path(data_dir, self.sha256),
            width=self.width,
            height=self.height,
            size=self.size,
            sha256=self.sha256,
        )


def original_path(data_dir: Path, sha256: str) -> Path:
    return data_dir / "media" / sha256[:2] / sha256 / "original"


async def store_upload(
    stream: AsyncIterable[bytes], filename: str, alt: str, data_dir: Path
) -> StoredMedia:
    """Keep one uploaded picture. Error: `MediaError`; then nothing is kept."""
    folder = data_dir / "media"
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder) as upload:
        size = 0
        async for chunk in stream:
            size += len(chunk)
            if size > MAX_UPLOAD_BYTES:
                raise MediaError(
                    "media-too-large",
                    f"the file is larger than {MAX_UPLOAD_BYTES // 1024**2} MiB",
                    "upload a smaller picture",
                )
            await asyncio.to_thread(upload.write, chunk)
        if not size:
            raise MediaError("media-empty", "the file is empty", "choose the file again")
        upload.seek(0)
        return await asyncio.to_thread(_keep, upload, filename, alt, data_dir)


async def variant_for(media: Media, capabilities: Capabilities, data_dir: Path) -> Media:
    """The picture as this channel takes it, made once and kept. Error: `MediaError`.

    `sha256` stays that of the original: it names the picture, not the file.
    """
    plan = plan_variant(media, capabilities)
    if plan is None or media.path is None:
        return media
    name = f"{plan.width}x{plan.height}-{plan.max_bytes or 0}.{_SUFFIX[plan.content_type]}"
    source, target = media.path, original_path(data_dir, media.sha256).with_name(name)

    def make() -> bytes:
        from scheduler import pictures

        return pictures.fit(source, plan)

    width, height, size = await asyncio.to_thread(_cached, target, make)
    return replace(
        media,
        path=target,
        content_type=plan.content_type,
        width=width,
        height=height,
        size=size,
    )


async def fitted(post: Post, channel: Channel, data_dir: Path) -> Post:
    """The post with its pictures as this channel takes them. Error: `MediaError`."""
    media = [
        await variant_for(item, channel.capabilities, data_dir) for item in shown(post, channel)
    ]
    return showing(post, channel, media)


async def scaled(data_dir: Path, sha256: str, *, width: int, content_type: str) -> Path | None:
    """A file for readers of the site, at most `width` pixels wide; None if there is no such
    picture. Error: `MediaError`."""
    source = original_path(data_dir, sha256)
    if not source.is_file():
        return None
    target = source.with_name(f"w{width}.{_SUFFIX[content_type]}")

    def make() -> bytes:
        from scheduler import pictures

        return pictures.narrow(source, width, content_type)

    await asyncio.to_thread(_cached, target, make)
    return target


def _keep(upload: Any, filename: str, alt: str, data_dir: Path) -> StoredMedia:
    from scheduler import pictures

    clean = pictures.take(upload)
    sha256 = hashlib.sha256(clean.data).hexdigest()
    target = original_path(data_dir, sha256)
    if not target.exists():
        _write(target, clean.data)
    return StoredMedia(
        id=str(uuid_utils.uuid7()),
        sha256=sha256,
        content_type=clean.content_type,
        filename=Path(filename.replace("\\", "/")).name[:200],
        alt=alt,
        width=clean.width,
        height=clean.height,
        size=len(clean.data),
    )


def _cached(target: Path, make: Callable[[], bytes]) -> tuple[int, int, int]:
    """Make `target` unless it is there; its width, height and bytes."""
    from scheduler import pictures

    if not target.exists():
        _write(target, make())
    width, height = pictures.size_of(target)
    return width, height, target.stat().st_size


def _write(target: Path, data: bytes) -> None:
    """All or nothing, so that a reader never meets half a file."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=target.parent, delete=False) as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    Path(file.name).replace(target)
