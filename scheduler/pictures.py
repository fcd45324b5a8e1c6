"""What Pillow does with a picture: open it with care, clean it, fit it to a plan. Pure but for the
file that is opened. Loaded with the first picture, not before: Pillow is large.
"""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image, ImageOps, UnidentifiedImageError

from channels.media import VariantPlan
from scheduler.media import MAX_ANIMATED_PIXELS, MAX_PIXELS, MediaError

_FORMATS = {"JPEG": "image/jpeg", "PNG": "image/png", "GIF": "image/gif", "WEBP": "image/webp"}
_PILLOW = {content_type: name for name, content_type in _FORMATS.items()}
_TAKEN = "use a JPEG, PNG, GIF or WebP picture"
# From hardly visible to bearable; below that, fewer pixels look better than more artefacts.
_QUALITIES = (88, 80, 70, 60)
_METADATA = ("exif", "xmp", "comment", "photoshop", "XML:com.adobe.xmp", "Raw profile type exif")


@dataclass(frozen=True, slots=True, kw_only=True)
class Clean:
    """A picture as it is kept: `data` without metadata; its size in pixels."""

    content_type: str
    data: bytes
    width: int
    height: int


def take(file: Any) -> Clean:
    """What is kept of an upload. Error: `MediaError`."""
    with _opened(file) as image:
        content_type = _FORMATS[_format(image)]
        data = _cleaned(image)
    width, height = size_of(BytesIO(data))
    return Clean(content_type=content_type, data=data, width=width, height=height)


def fit(source: Path, plan: VariantPlan) -> bytes:
    """The picture as a plan wants it. Error: `MediaError`."""
    with _opened(source) as image:
        return _fitted(_ready(image), plan)


def narrow(source: Path, width: int, content_type: str) -> bytes:
    """At most `width` pixels wide, for readers of the site. Error: `MediaError`."""
    with _opened(source) as image:
        return _encoded(_narrowed(_ready(image), width), content_type, 82)


def size_of(file: Path | BytesIO) -> tuple[int, int]:
    """Width and height of a file that is one of ours."""
    with Image.open(file) as image:
        return image.size


def _ready(image: Image.Image) -> Image.Image:
    """In a mode that every format knows, and that resizes well: palettes do not."""
    ready = image.convert("RGBA" if _transparent(image) else "RGB")
    if image.mode not in {"RGB", "RGBA"}:
        ready.info.pop("icc_profile", None)  # it describes other colours
    return ready


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
