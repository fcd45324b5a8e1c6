"""A post as Mastodon's fields: the text, the pictures, the poll. Pure."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Mapping
from typing import Any

import nh3

from channels.compose import compose, empty_problem, hashtags, message_of, shortened_problem
from channels.outcome import Problem, Severity
from channels.posts import Message, Part, Post
from channels.words import campaign_rewrite, grapheme_length

# The default of every instance; larger ones say so at /api/v2/instance.
TEXT_LIMIT = 500
LINK_COUNTS = 23
MAX_IMAGES = 4
ALT_LIMIT = 1500
IMAGE_MAX_BYTES = 16 * 1024 * 1024
IMAGE_MAX_PIXELS = 33_177_600
IMAGE_TYPES = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})
POLL_OPTIONS, POLL_OPTION_LIMIT = 4, 50

_LINK = re.compile(r"https?://\S+")


def length(text: str) -> int:
    """Graphemes, each address as 23 or as long as it is: what the instance counts, or more."""
    short = sum(max(0, LINK_COUNTS - len(link)) for link in _LINK.findall(text))
    return grapheme_length(text) + short


def rendered(post: Post, part: Part) -> Message:
    post = post.for_channel("mastodon")
    rewrite = campaign_rewrite(post, source="mastodon")
    words = compose(
        post,
        limit=TEXT_LIMIT,
        measure=length,
        rewrite=rewrite,
        part=part,
        closing=hashtags(post.tags),
    )
    options: dict[str, Any] = {"shortened": True} if words.shortened else {}
    if post.poll and part is Part.POST:
        options["question"] = post.poll.question
        options["poll"] = {
            "options": list(post.poll.options),
            "expires_in": post.poll.days * 86_400,
        }
    return message_of(post, part, words, rewrite=rewrite, options=options)


def body(message: Message, media_ids: list[str], visibility: str) -> dict[str, Any]:
    """The JSON of `POST /api/v1/statuses`."""
    question = message.options.get("question", "")
    text = "\n\n".join(filter(None, [message.text, question]))
    fields: dict[str, Any] = {"status": text, "visibility": visibility}
    fields["language"] = message.language.split("-")[0]
    if media_ids:
        fields["media_ids"] = media_ids
    if message.reply_to:
        fields["in_reply_to_id"] = message.reply_to
    if poll := message.options.get("poll"):
        fields["poll"] = poll
    return fields


def same(content: str, message: Message) -> bool:
    """Whether a status's HTML says what we sent, blanks aside."""
    seen = html.unescape(nh3.clean(content, tags=set()))
    sent = message.text + message.options.get("question", "")
    return "".join(seen.split()) == "".join(sent.split())


def problems(message: Message) -> Iterator[Problem]:
    question = message.options.get("question", "")
    if not (message.text or message.media or question):
        yield empty_problem()
    if length(f"{message.text}\n\n{question}".strip()) > TEXT_LIMIT:
        yield _problem("text-too-long", "body", f"Mastodon takes {TEXT_LIMIT} characters.")
    if message.options.get("shortened"):
        yield shortened_problem(TEXT_LIMIT)
    yield from _media_problems(message)
    yield from _poll_problems(message.options.get("poll"), message)


def _media_problems(message: Message) -> Iterator[Problem]:
    if len(message.media) > MAX_IMAGES:
        yield _problem("too-many-images", "media", f"Mastodon shows {MAX_IMAGES} pictures at most.")
    for place, picture in enumerate(message.media):
        field = f"media[{place}]"
        if picture.content_type not in IMAGE_TYPES:
            yield _problem("image-type", field, f"{picture.content_type} is not taken here.")
        if (picture.size or 0) > IMAGE_MAX_BYTES:
            yield _problem("image-too-large", field, "Mastodon takes pictures of 16 MB at most.")
        if len(picture.alt) > ALT_LIMIT:
            detail = f"Mastodon takes descriptions of {ALT_LIMIT} characters."
            yield _problem("alt-too-long", f"{field}.alt", detail)
        if picture.is_image and not picture.alt:
            yield Problem(
                code="alt-missing",
                detail="This picture has no description; many on Mastodon expect one.",
                field=f"{field}.alt",
                remedy="Describe the picture in a sentence.",
                severity=Severity.WARNING,
            )


def _poll_problems(poll: Mapping[str, Any] | None, message: Message) -> Iterator[Problem]:
    if poll is None:
        return
    fine = 2 <= len(poll["options"]) <= POLL_OPTIONS and all(
        0 < len(text) <= POLL_OPTION_LIMIT for text in poll["options"]
    )
    if not fine or message.media:
        yield _problem(
            "poll", "poll", "Mastodon polls: 2 to 4 answers of 50 characters, no picture."
        )


def _problem(code: str, field: str, detail: str) -> Problem:
    return Problem(
        code=code, detail=detail, field=field, remedy="Change it in the variant for Mastodon."
    )
