"""What WordPress's REST API refuses, and in which words: the rules of the practice platform."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from typing import Any

from aiohttp import web
from PIL import Image, UnidentifiedImageError

STATUSES = ("publish", "future", "draft", "pending", "private")
_SUFFIXES = {"JPEG": ("jpg", "jpeg"), "PNG": ("png",), "GIF": ("gif",), "WEBP": ("webp",)}


class Refused(Exception):  # noqa: N818 -- an answer, in WordPress's words
    """An error as WordPress words it."""

    def __init__(self, status: int, code: str, message: str, **data: Any) -> None:
        super().__init__(code)
        self.body = {"code": code, "message": message, "data": {"status": status, **data}}
        self.status = status


def check_post(fields: Mapping[str, Any]) -> None:
    """The types and the closed set that WordPress's schema has."""
    for name in ("title", "content", "excerpt", "slug"):
        if name in fields and not isinstance(fields[name], str):
            raise invalid(name, f"{name} is not of type string.")
    if fields.get("status", "draft") not in STATUSES:
        raise invalid("status", f"status is not one of {', '.join(STATUSES)}.")
    for name in ("categories", "tags"):
        if any(not isinstance(number, int) for number in fields.get(name, [])):
            raise invalid(name, f"{name}[0] is not of type integer.")
    if not isinstance(fields.get("featured_media", 0), int):
        raise invalid("featured_media", "featured_media is not of type integer.")


def invalid(name: str, message: str) -> Refused:
    return Refused(
        400, "rest_invalid_param", f"Invalid parameter(s): {name}", params={name: message}
    )


def file_name(disposition: str | None) -> str:
    if not disposition:
        raise Refused(400, "rest_upload_no_content_disposition", "No Content-Disposition supplied.")
    match = re.fullmatch(r'attachment; *filename="([^"/\\]+)"', disposition)
    if match is None:
        raise Refused(
            400, "rest_upload_invalid_disposition", "Invalid Content-Disposition supplied."
        )
    return match[1]


def check_picture(content: bytes, name: str) -> None:
    """The bytes have to be what the file's name says."""
    try:
        with Image.open(io.BytesIO(content), formats=tuple(_SUFFIXES)) as image:
            allowed = _SUFFIXES[str(image.format)]
    except (UnidentifiedImageError, OSError):
        allowed = ()
    if name.rsplit(".", 1)[-1].lower() not in allowed:
        raise Refused(
            500, "rest_upload_sideload_error",
            "Sorry, you are not allowed to upload this file type.",
        )  # fmt: skip


def sanitised(text: str) -> str:
    return re.sub(r"-+", "-", re.sub(r"[^a-z0-9_-]+", "-", text.lower())).strip("-")[:200]


def selected(data: Any, names: str | None) -> Any:
    """`_fields`: only what was asked for."""
    if names is None:
        return data
    if isinstance(data, list):
        return [selected(item, names) for item in data]
    return {name: value for name, value in data.items() if name in names.split(",")}


def html(status: int, body: str, headers: Mapping[str, str] | None = None) -> web.Response:
    page = f"<!doctype html><html><body>{body}</body></html>"
    return web.Response(status=status, text=page, content_type="text/html", headers=headers)
