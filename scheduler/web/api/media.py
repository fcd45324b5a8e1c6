"""Pictures: uploaded first, named by posts afterwards."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

from aiohttp import BodyPartReader, web
from typing_extensions import TypedDict

from scheduler.media import MediaError, StoredMedia, store_upload
from scheduler.refusals import FieldError, Refusal, RefusedError, not_found
from scheduler.store import media
from scheduler.store.tokens import Scope
from scheduler.web.api.shapes import ById
from scheduler.web.endpoint import Call, Endpoints

endpoints = Endpoints("media")

MAX_ALT = 2000  # characters

_FORM = {
    "multipart/form-data": {
        "schema": {
            "type": "object",
            "required": ["file"],
            "properties": {
                "file": {"type": "string", "contentMediaType": "application/octet-stream"},
                "alt": {
                    "type": "string",
                    "maxLength": MAX_ALT,
                    "description": "What the picture shows, for those who do not see it.",
                },
            },
        }
    }
}


class MediaAnswer(TypedDict):
    """A picture as kept: turned upright, without its EXIF. `size` in bytes."""

    id: str
    content_type: str
    filename: str
    alt: str
    width: int
    height: int
    size: int
    sha256: str


@endpoints.post(
    "/media",
    scope=Scope.WRITE,
    status=201,
    refusals=(Refusal.MEDIA_TYPE, Refusal.TOO_LARGE),
    request_body=_FORM,
)
async def upload(call: Call) -> MediaAnswer:
    """Upload a JPEG, PNG, GIF or WebP picture; posts then name its id."""
    try:
        stored = await _received(call)
    except MediaError as error:
        refusal = Refusal.TOO_LARGE if error.code == "media-too-large" else Refusal.INVALID
        raise RefusedError(
            refusal, error.detail, [FieldError(error.field, error.detail, error.remedy)]
        ) from error
    async with call.services.database.write() as connection:
        await media.add(connection, stored, call.services.clock.micros())
    return _answer(stored)


@endpoints.get("/media/{id}", scope=Scope.READ, refusals=(Refusal.NOT_FOUND,))
async def read(call: Call, path: ById) -> MediaAnswer:
    """What is known of an upload."""
    async with call.services.database.read() as connection:
        row = await media.get(connection, path.id)
    if row is None:
        raise not_found("upload", path.id)
    return _answer(StoredMedia(**{name: row[name] for name in MediaAnswer.__annotations__}))


async def _received(call: Call) -> StoredMedia:
    """The file of the form, kept, with the description that came before or after it."""
    stored: StoredMedia | None = None
    alt = ""
    if call.request.content_type != "multipart/form-data":
        raise RefusedError(
            Refusal.MEDIA_TYPE,
            "an upload is a form",
            [FieldError("Content-Type", "is no form", "send multipart/form-data with `file`")],
        )
    try:
        async for part in await call.request.multipart():
            if not isinstance(part, BodyPartReader):
                raise _bad_form("a form inside the form", "send `file` and `alt` only")
            if part.name == "alt":
                alt = await _text(part)
            elif part.name == "file" and stored is None:
                stored = await store_upload(
                    _chunks(part), part.filename or "picture", "", call.services.settings.data_dir
                )
            else:
                raise _bad_form(f"the part {part.name!r} is not expected", "send `file` and `alt`")
    except (ValueError, web.HTTPBadRequest) as error:
        if isinstance(error, MediaError):
            raise
        raise _bad_form("the form cannot be read", "send well-formed multipart/form-data") from (
            error
        )
    if stored is None:
        raise _bad_form("there is no file", "send it as the part `file`")
    return replace(stored, alt=alt)


async def _text(part: BodyPartReader) -> str:
    data = b""
    while chunk := await part.read_chunk():
        data += chunk
        if len(data) > MAX_ALT * 4:
            break
    text = data.decode("utf-8", "replace").replace("\x00", "").strip()
    if len(text) > MAX_ALT:
        raise RefusedError(
            Refusal.INVALID,
            "the description is too long",
            [FieldError("alt", f"has more than {MAX_ALT} characters", "shorten it")],
        )
    return text


async def _chunks(part: BodyPartReader) -> AsyncIterator[bytes]:
    while chunk := await part.read_chunk(64 * 1024):
        yield bytes(chunk)


def _bad_form(detail: str, remedy: str) -> RefusedError:
    return RefusedError(Refusal.INVALID, detail, [FieldError("file", detail, remedy)])


def _answer(stored: StoredMedia) -> MediaAnswer:
    return {
        "id": stored.id,
        "content_type": stored.content_type,
        "filename": stored.filename,
        "alt": stored.alt,
        "width": stored.width,
        "height": stored.height,
        "size": stored.size,
        "sha256": stored.sha256,
    }
