"""What a mail cannot carry as it stands, and what readers would miss."""

from __future__ import annotations

from channels.base import Capabilities
from channels.newsletter.deliverability.letter import CLIPPED_AT, Fault, html_faults
from channels.newsletter.deliverability.words import words
from channels.newsletter.gaps import gap_problems
from channels.newsletter.holes import impersonal
from channels.newsletter.render import public_url
from channels.outcome import Problem, Severity
from channels.posts import Media, Message

MAX_PICTURES_BYTES = 10 * 1024 * 1024
MAX_SUBJECT = 255


def words_problems(message: Message) -> list[Problem]:
    found = []
    if not message.title:
        found.append(
            Problem(
                code="title-missing",
                detail="a mail needs a subject",
                field="title",
                remedy="Give the post a title.",
            )
        )
    subject = impersonal(message.title)
    if len(subject) > MAX_SUBJECT:
        found.append(
            Problem(
                code="title-too-long",
                detail=f"the subject has {len(subject)} characters; {MAX_SUBJECT} at most",
                field="title",
                remedy="Shorten the title; 50 characters are read on a phone.",
            )
        )
    found += gap_problems(message)
    found += [_form_problem(fault) for fault in html_faults(message.html)]
    size = len(message.html.encode())
    if size > CLIPPED_AT:
        found.append(
            Problem(
                code="mail-clipped",
                detail=f"the mail has {size // 1024} KB; Gmail hides what is beyond 102 KB",
                field="body",
                remedy="Send the beginning, and a link to the rest.",
                severity=Severity.WARNING,
            )
        )
    return found


def _form_problem(fault: Fault) -> Problem:
    detail, remedy = words(fault.code, "en", {"what": fault.detail})
    return Problem(
        code=fault.code, detail=detail, field="body", remedy=remedy, severity=Severity.WARNING
    )


def media_problems(message: Message, capabilities: Capabilities) -> list[Problem]:
    found = []
    images = [m for m in message.media if m.is_image]
    if len(images) > capabilities.max_images:
        found.append(
            Problem(
                code="images-too-many",
                detail=f"{len(images)} pictures; a mail carries {capabilities.max_images}",
                field="media",
            )
        )
    carried = sum(m.size or 0 for m in images if public_url(m) is None)
    if carried > MAX_PICTURES_BYTES:
        found.append(
            Problem(
                code="images-too-large",
                detail=f"the pictures have {carried // 1024 // 1024} MB together; 10 MB at most",
                field="media",
                remedy="Use smaller pictures.",
            )
        )
    for index, media in enumerate(message.media):
        found += _medium_problems(f"media[{index}]", media, capabilities)
    return found


def _medium_problems(place: str, media: Media, capabilities: Capabilities) -> list[Problem]:
    found = []
    if public_url(media) is None and (media.path is None or not media.is_image):
        found.append(
            Problem(
                code="media-unreachable",
                detail="a mail can only link to a video, and needs a picture's file or address",
                field=place,
                remedy="Give a public address.",
            )
        )
    if media.is_image and media.content_type not in capabilities.image_types:
        found.append(
            Problem(
                code="image-type",
                detail=f"many mail programs do not show {media.content_type}",
                field=place,
                remedy="Use JPEG, PNG or GIF.",
            )
        )
    if media.is_image and not media.alt:
        found.append(
            Problem(
                code="alt-missing",
                detail="half of the readers see the text instead of the picture",
                field=f"{place}.alt",
                remedy="Say in a few words what the picture shows.",
                severity=Severity.WARNING,
            )
        )
    return found
