"""What Facebook cannot carry of a message, said before it is scheduled. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from channels.compose import empty_problem, shortened_problem
from channels.facebook.render import (
    COMMENT_LIMIT,
    MAX_PHOTOS,
    PHOTO_MAX_BYTES,
    PHOTO_TYPES,
    PNG_ADVISED_BYTES,
    TEXT_LIMIT,
)
from channels.outcome import Problem, Severity
from channels.posts import Media, Message, Part
from channels.words import utf16_length


def problems(message: Message) -> Sequence[Problem]:
    """What Facebook cannot carry of this message as it stands."""
    limit = COMMENT_LIMIT if message.part is Part.FIRST_COMMENT else TEXT_LIMIT
    found = []
    if utf16_length(message.text) > limit:
        found.append(
            Problem(
                code="text-too-long",
                detail=f"Facebook takes {limit:,} characters.",
                field="body",
                remedy="Shorten the text, or give Facebook a shorter variant.",
            )
        )
    if "shortened" in message.options:
        found.append(shortened_problem(message.options["shortened"]))
    if not message.text and not message.link and not message.media:
        found.append(empty_problem())
    if message.link and not message.link.startswith(("https://", "http://")):
        found.append(
            Problem(
                code="link-scheme",
                detail="Facebook opens only web links.",
                field="link",
                remedy="Give an address that starts with https://.",
            )
        )
    return [*found, *_media_problems(message.media)]


def _media_problems(media: tuple[Media, ...]) -> list[Problem]:
    found = [problem for at, item in enumerate(media) for problem in _item_problems(item, at)]
    photos = [item for item in media if item.is_image]
    if len(photos) > MAX_PHOTOS:
        found.append(
            Problem(
                code="too-many-images",
                detail=f"Facebook takes {MAX_PHOTOS} pictures in one post.",
                field="media",
                remedy=f"Keep {MAX_PHOTOS}, or give Facebook a variant of its own.",
            )
        )
    if len(photos) != len(media) and len(media) > 1:
        found.append(
            Problem(
                code="video-not-alone",
                detail="On Facebook a video stands alone.",
                field="media",
                remedy="Keep the video or the pictures, or give Facebook a variant of its own.",
            )
        )
    return found


def _item_problems(item: Media, at: int) -> list[Problem]:
    where = f"media[{at}]"
    if not item.is_image:
        return _video_problems(item, where)
    found = []
    if item.content_type not in PHOTO_TYPES:
        found.append(
            Problem(
                code="image-type",
                detail=f"Facebook does not take {item.content_type}.",
                field=where,
                remedy="Use JPEG or PNG.",
            )
        )
    if item.path is None and item.url is None:
        found.append(_nowhere(where))
    if item.size is not None and item.size > PHOTO_MAX_BYTES:
        found.append(
            Problem(
                code="image-too-large",
                detail="Facebook takes pictures up to 4 MB.",
                field=where,
                remedy="Use a smaller picture.",
            )
        )
    elif item.content_type == "image/png" and (item.size or 0) > PNG_ADVISED_BYTES:
        found.append(
            Problem(
                code="image-blurred",
                detail="Facebook may blur a PNG over 1 MB.",
                field=where,
                remedy="Use JPEG, or a smaller PNG.",
                severity=Severity.WARNING,
            )
        )
    if not item.alt:
        found.append(
            Problem(
                code="alt-missing",
                detail="Readers who cannot see the picture get no description.",
                field=f"{where}.alt",
                remedy="Describe the picture in a sentence.",
                severity=Severity.WARNING,
            )
        )
    return found


def _video_problems(item: Media, where: str) -> list[Problem]:
    if not item.content_type.startswith("video/"):
        return [
            Problem(
                code="media-type",
                detail=f"Facebook does not take {item.content_type}.",
                field=where,
                remedy="Use pictures or a video.",
            )
        ]
    if item.url is None:
        return [
            Problem(
                code="video-needs-url",
                detail="Facebook fetches a video from a public address.",
                field=where,
                remedy="Put the video online and give its address.",
            )
        ]
    return []


def _nowhere(where: str) -> Problem:
    return Problem(
        code="media-missing",
        detail="The picture has neither a file nor an address.",
        field=where,
        remedy="Upload the picture again.",
    )
