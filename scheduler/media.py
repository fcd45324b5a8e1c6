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
from io import BytesIO
from pathlib import Path
from typing import Any

import uuid_utils
from PIL import Image, ImageOps, UnidentifiedImageError

from channels.base import Capabilities, Channel
from channels.media import VariantPlan, plan_variant, showing, shown
from channels.posts import Media, Post

MAX_UPLOAD_BYTES = 40 * 1024 * 1024
MAX_PIXELS = 80_000_000
# All frames of an animation together.
MAX_ANIMATED_PIXELS = 400_000_000

_FORMATS = {"JPEG": "image/jpeg", "PNG": "image/png", "GIF": "image/gif", "WEBP": "image/webp"}
_PILLOW = {content_type: name for name, content_type in _FORMATS.items()}
_SUFFIX = {"image/jpeg": "jpg", "image/png": "png", "image/gif": "gif", "image/webp": "webp"}
_TAKEN = "use a JPEG, PNG, GIF or WebP picture"
# From hardly visible to bearable; below that, fewer pixels look better than more artefacts.
_QUALITIES = (88, 80, 70, 60)
_METADATA = ("exif", "xmp", "comment", "photoshop", "XML:com.adobe.xmp", "Raw profile type exif")


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
    width, height, size = await asyncio.to_thread(
        _cached, source, target, lambda image: _fitted(image, plan)
    )
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
    await asyncio.to_thread(
        _cached, source, target, lambda image: _encoded(_narrowed(image, width), content_type, 82)
    )
    return target


def _keep(upload: Any, filename: str, alt: str, data_dir: Path) -> StoredMedia:
    with _opened(upload) as image:
        content_type = _FORMATS[_format(image)]
        data = _cleaned(image)
    with Image.open(BytesIO(data)) as clean:
        width, height = clean.size
    sha256 = hashlib.sha256(data).hexdigest()
    target = original_path(data_dir, sha256)
    if not target.exists():
        _write(target, data)
    return StoredMedia(
        id=str(uuid_utils.uuid7()),
        sha256=sha256,
        content_type=content_type,
        filename=Path(filename.replace("\\", "/")).name[:200],
        alt=alt,
        width=width,
        height=height,
        size=len(data),
    )


def _opened(file: Any) -> Image.Image:
    try:
        image = Image.open(file, formats=tuple(_FORMATS))
    except UnidentifiedImageError as error:
        raise MediaError("media-type", "the file is no picture we know", _TAKEN) from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _too_many_pixels() from error
    except (OSError, SyntaxError, ValueError) as error:
        raise _damaged() from error
    frames = getattr(image, "n_frames", 1) if _format(image) != "JPEG" else 1
    pixels = image.width * image.height
    if pixels > MAX_PIXELS or pixels * frames > MAX_ANIMATED_PIXELS:
        image.close()
        raise _too_many_pixels()
    try:
        image.load()
    except (OSError, SyntaxError, ValueError) as error:
        raise _damaged() from error
    return image


def _format(image: Image.Image) -> str:
    # Phones write JPEGs with a second picture inside, which Pillow calls MPO: the first counts.
    return "JPEG" if image.format == "MPO" else str(image.format)


def _too_many_pixels() -> MediaError:
    return MediaError(
        "media-too-many-pixels",
        f"the picture has more than {MAX_PIXELS // 1_000_000} million pixels",
        "make it smaller before uploading it",
    )


def _damaged() -> MediaError:
    return MediaError("media-damaged", "the picture is damaged or incomplete", _TAKEN)


def _cleaned(image: Image.Image) -> bytes:
    """The file without its metadata, its colours and quality kept."""
    name, original = _format(image), image.format
    profile = image.info.get("icc_profile")
    if getattr(image, "is_animated", False) and name in {"GIF", "WEBP"}:
        return _saved(image, name, save_all=True)
    turned = ImageOps.exif_transpose(image)
    for key in _METADATA:
        turned.info.pop(key, None)
    options: dict[str, Any] = {"icc_profile": profile} if profile else {}
    if name == "JPEG":
        untouched = original == "JPEG" and image.getexif().get(0x0112, 1) == 1
        # "keep" encodes with the same tables: nobody sees a difference.
        options["quality"] = "keep" if untouched else 92
        if untouched:
            turned = image
            image.info.pop("comment", None)
    elif name == "WEBP":
        options["quality"] = 90
    return _saved(turned, name, **options)


def _saved(image: Image.Image, name: str, **options: Any) -> bytes:
    buffer = BytesIO()
    image.save(buffer, name, **options)
    return buffer.getvalue()


def _fitted(image: Image.Image, plan: VariantPlan) -> bytes:
    """The picture in the plan's type and size, with fewer pixels still until its bytes fit."""
    width, height = plan.width, plan.height
    while True:
        sized = (
            image
            if image.size == (width, height)
            else image.resize((width, height), Image.Resampling.LANCZOS)
        )
        for quality in _QUALITIES:
            data = _encoded(sized, plan.content_type, quality)
            if plan.max_bytes is None or len(data) <= plan.max_bytes:
                return data
            if plan.content_type in {"image/png", "image/gif"}:
                break  # these know no quality
        if min(width, height) <= 1:
            raise MediaError(
                "media-too-large",
                f"the picture cannot be made smaller than {plan.max_bytes} bytes",
                "use another picture",
            )
        width, height = max(1, int(width * 0.8)), max(1, int(height * 0.8))


def _narrowed(image: Image.Image, width: int) -> Image.Image:
    if image.width <= width:
        return image
    height = max(1, round(image.height * width / image.width))
    return image.resize((width, height), Image.Resampling.LANCZOS)


def _encoded(image: Image.Image, content_type: str, quality: int) -> bytes:
    name = _PILLOW[content_type]
    if name == "JPEG":
        image = _on_white(image)
        return _saved(image, name, quality=quality, optimize=True, progressive=True)
    if name == "WEBP":
        return _saved(
            image.convert("RGBA" if _transparent(image) else "RGB"), name, quality=quality
        )
    return _saved(image, name, optimize=True)


def _transparent(image: Image.Image) -> bool:
    return image.mode in {"RGBA", "LA", "PA"} or "transparency" in image.info


def _on_white(image: Image.Image) -> Image.Image:
    if not _transparent(image):
        return image.convert("RGB")
    layer = image.convert("RGBA")
    paper = Image.new("RGBA", layer.size, "white")
    return Image.alpha_composite(paper, layer).convert("RGB")


def _cached(
    source: Path, target: Path, make: Callable[[Image.Image], bytes]
) -> tuple[int, int, int]:
    """Make `target` of `source` unless it is there; its width, height and bytes."""
    if not target.exists():
        with _opened(source) as image:
            # Palettes resize badly, and not every format knows every mode.
            ready = image.convert("RGBA" if _transparent(image) else "RGB")
            if image.mode not in {"RGB", "RGBA"}:
                ready.info.pop("icc_profile", None)  # it describes other colours
            _write(target, make(ready))
    with Image.open(target) as made:
        return made.width, made.height, target.stat().st_size


def _write(target: Path, data: bytes) -> None:
    """All or nothing, so that a reader never meets half a file."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=target.parent, delete=False) as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    Path(file.name).replace(target)
