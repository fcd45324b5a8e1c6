"""A post in Facebook's words: plain text, working links, hashtags, the note of a reroute. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import partial

from channels.base import Message, Part, Post
from channels.words import (
    campaign_rewrite,
    read_more,
    reroute_note,
    shorten,
    to_plain,
    utf16_length,
)

TEXT_LIMIT = 63_206  # UTF-16 units, as far as known: the API pages do not state it
COMMENT_LIMIT = 8_000
MAX_PHOTOS = 10
PHOTO_MAX_BYTES = 4_000_000
PNG_ADVISED_BYTES = 1_000_000
PHOTO_TYPES = frozenset({"image/jpeg", "image/png", "image/gif", "image/bmp", "image/tiff"})


def rendered(post: Post, part: Part) -> Message:
    """What will be sent. A link goes into Facebook's own preview card, except beside pictures,
    where Facebook takes none: then it is a line of the text."""
    rewrite = campaign_rewrite(post, source="facebook")
    if part is Part.FIRST_COMMENT:
        text = to_plain(post.first_comment, rewrite=rewrite)
        return Message(
            post_id=post.id,
            text=shorten(text, COMMENT_LIMIT, measure=utf16_length),
            language=post.language,
            part=part,
        )
    link = rewrite(post.link) if post.link else None
    fit = partial(_within_limit, more=_more(post, link))
    return Message(
        post_id=post.id,
        text=_composed(post, to_plain(post.body, rewrite=rewrite), link, fit),
        title=post.title,
        link=None if post.media else link,
        media=post.media,
        language=post.language,
        tags=post.tags,
        part=part,
    )


def _composed(post: Post, body: str, link: str | None, fit: partial[str]) -> str:
    tail = [
        link if link and post.media and link not in body else "",
        reroute_note(post.rerouted, post.language) if post.rerouted else "",
        hashtags(post.tags),
    ]
    closing = "\n\n".join(filter(None, tail))
    opening = "\n\n".join(filter(None, [post.title.strip(), body]))
    if not closing:
        return fit(opening, TEXT_LIMIT)
    opening = fit(opening, TEXT_LIMIT - utf16_length(closing) - 2)
    return f"{opening}\n\n{closing}" if opening else closing


def _within_limit(text: str, limit: int, *, more: str) -> str:
    return shorten(text, limit, measure=utf16_length, more=more)


def _more(post: Post, link: str | None) -> str:
    """Where a text that was cut goes on."""
    url = post.blog_url or link
    return f"\n\n{read_more(url, post.language)}" if url else ""


def hashtags(tags: Iterable[str]) -> str:
    """`#PetitDéjeuner #Reopening`: words joined, and none of digits alone, which is no hashtag."""
    words = [re.findall(r"\w+", tag) for tag in tags]
    joined = ["".join(part[:1].upper() + part[1:] for part in tag) for tag in words]
    return " ".join(f"#{tag}" for tag in joined if tag and not tag.isdigit())
