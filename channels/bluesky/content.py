"""A post as a Bluesky record: text, facets, embed. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from channels.compose import (
    compose,
    empty_problem,
    hashtags,
    message_of,
    shortened_problem,
    undescribed,
)
from channels.outcome import Problem
from channels.posts import Message, Part, Post
from channels.words import byte_length, campaign_rewrite, grapheme_length, shorten, to_plain

COLLECTION = "app.bsky.feed.post"
TEXT_LIMIT = 300
BYTES_PER_GRAPHEME = 10  # 3,000 bytes in all
MAX_IMAGES = 4
IMAGE_MAX_BYTES = 2_000_000
IMAGE_TYPES = frozenset({"image/jpeg", "image/png", "image/webp", "image/gif"})
TITLE_LIMIT, DESCRIPTION_LIMIT = 200, 500

_LINK = re.compile(r"https?://[^\s<>\"]+")
_TAG = re.compile(r"(?<![^\s(«\"'’])#(\w*[^\W\d_]\w*)")
_TRAILING = ".,;:!?…»”’'"


def length(text: str) -> int:
    """Graphemes, or as many as the bytes of the text take up of 3,000."""
    return max(grapheme_length(text), -(-byte_length(text) // BYTES_PER_GRAPHEME))


def rendered(post: Post, part: Part) -> Message:
    """A link goes into a card, except beside pictures: a record has one embed."""
    post = post.for_channel("bluesky")
    rewrite = campaign_rewrite(post, source="bluesky")
    card = part is Part.POST and bool(post.link) and not post.media
    words = compose(
        post,
        limit=TEXT_LIMIT,
        measure=length,
        rewrite=rewrite,
        part=part,
        title=not (card and post.body),
        link=not card,
        closing=hashtags(post.tags),
    )
    options: dict[str, Any] = {"shortened": True} if words.shortened else {}
    if card and post.link:
        description = post.summary or to_plain(post.body)
        options["card"] = {
            "uri": rewrite(post.link),
            "title": shorten(post.title or post.link, TITLE_LIMIT),
            "description": shorten(description, DESCRIPTION_LIMIT),
        }
    if post.poll and part is Part.POST:
        options["poll"] = post.poll.question
    return message_of(post, part, words, rewrite=rewrite, options=options)


def record(message: Message, images: Sequence[Mapping[str, Any]], now: datetime) -> dict[str, Any]:
    """The record. `images`: the blobs of the message's pictures, in order."""
    fields: dict[str, Any] = {
        "$type": COLLECTION,
        "text": message.text,
        "createdAt": now.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "langs": [message.language.split("-")[0]],
    }
    if found := facets(message.text):
        fields["facets"] = found
    if images:
        pictures = [
            {"image": blob, "alt": media.alt}
            for blob, media in zip(images, message.media, strict=True)
        ]
        fields["embed"] = {"$type": "app.bsky.embed.images", "images": pictures}
    elif card := message.options.get("card"):
        fields["embed"] = {"$type": "app.bsky.embed.external", "external": dict(card)}
    return fields


def named(uri: str) -> dict[str, str]:
    """A record's address, taken apart as the calls about one record want it."""
    repo, collection, rkey = uri.removeprefix("at://").split("/")
    return {"repo": repo, "collection": collection, "rkey": rkey}


def facets(text: str) -> list[dict[str, Any]]:
    """What is a link and what a hashtag. Offsets count UTF-8 bytes, not characters."""
    found = []
    for match in _LINK.finditer(text):
        uri = _trimmed(match[0])
        feature = {"$type": "app.bsky.richtext.facet#link", "uri": uri}
        found.append(_facet(text, match.start(), match.start() + len(uri), feature))
    for match in _TAG.finditer(text):
        feature = {"$type": "app.bsky.richtext.facet#tag", "tag": match[1]}
        found.append(_facet(text, match.start(), match.end(), feature))
    return found


def _trimmed(link: str) -> str:
    """Without the punctuation of the sentence around it."""
    link = link.rstrip(_TRAILING)
    if link.endswith(")") and link.count("(") < link.count(")"):
        link = link[:-1].rstrip(_TRAILING)
    return link


def _facet(text: str, start: int, end: int, feature: Mapping[str, str]) -> dict[str, Any]:
    first = byte_length(text[:start])
    index = {"byteStart": first, "byteEnd": first + byte_length(text[start:end])}
    return {"index": index, "features": [dict(feature)]}


def problems(message: Message) -> Iterator[Problem]:
    if not (message.text or message.media or message.options.get("card")):
        yield empty_problem()
    if length(message.text) > TEXT_LIMIT:
        yield _problem("text-too-long", "body", f"Bluesky takes {TEXT_LIMIT} characters.")
    if message.options.get("shortened"):
        yield shortened_problem(TEXT_LIMIT)
    if message.options.get("poll"):
        yield _problem("poll", "poll", "Bluesky has no polls; the question is left out.")
    if len(message.media) > MAX_IMAGES:
        yield _problem("too-many-images", "media", f"Bluesky shows {MAX_IMAGES} pictures at most.")
    for place, picture in enumerate(message.media):
        field = f"media[{place}]"
        if picture.content_type not in IMAGE_TYPES:
            yield _problem("image-type", field, f"{picture.content_type} is not taken here.")
        if (picture.size or 0) > IMAGE_MAX_BYTES:
            yield _problem("image-too-large", field, "Bluesky takes pictures of 2 MB at most.")
        yield from undescribed(picture, field)


def _problem(code: str, field: str, detail: str) -> Problem:
    return Problem(
        code=code, detail=detail, field=field, remedy="Change it in the variant for Bluesky."
    )
