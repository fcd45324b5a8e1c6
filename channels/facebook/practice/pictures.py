"""The pictures of the practice Facebook: checked by content, kept while it runs."""

from __future__ import annotations

import io

from PIL import Image, UnidentifiedImageError

from channels.facebook.practice.refusals import Refused

MAX_BYTES = 4_000_000
FORMATS = frozenset({"JPEG", "PNG", "GIF", "BMP", "TIFF"})
_KEPT = 200


class Pictures:
    """The newest pictures, by the id of their photo."""

    def __init__(self) -> None:
        self._kept: dict[str, bytes] = {}

    def take(self, photo: str, content: bytes) -> str:
        """Keep a picture; its content type. Error: `Refused`, as the real one says it."""
        kind = _format(content)
        if len(content) > MAX_BYTES or kind not in FORMATS:
            raise Refused(
                1366046,
                "(#1366046) Your photos couldn't be uploaded. Photos should be smaller than 4 MB"
                " and saved as JPG, PNG, GIF, TIFF, HEIF or WebP files.",
            )
        self._kept[photo] = content
        for oldest in list(self._kept)[:-_KEPT]:
            del self._kept[oldest]
        return f"image/{kind.lower()}"

    def get(self, photo: str) -> tuple[bytes, str] | None:
        """A picture and its content type, None when it is not there any more."""
        content = self._kept.get(photo)
        return None if content is None else (content, f"image/{_format(content).lower()}")


def _format(content: bytes) -> str:
    """The format by content, `""` when it is no picture."""
    try:
        with Image.open(io.BytesIO(content)) as picture:
            return picture.format or ""
    except (UnidentifiedImageError, OSError):
        return ""
