"""A post as a webhook event. Pure.

`{"type": "post.published", "timestamp": …, "data": {"post_id", "account_id", "part", "title",
"text", "html", "summary", "slug", "link", "language", "tags", "media": [{"url", "alt",
"content_type"}], "poll", "actions", "reply_to"}}`
"""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from channels.compose import compose, empty_problem, undescribed
from channels.outcome import Problem
from channels.posts import Message, Part, Post
from channels.sentences import reroute_note
from channels.words import campaign_rewrite, slugify, to_html

MAX_MEDIA = 20
IMAGE_TYPES = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})
_NO_LIMIT = 10**9


def rendered(post: Post, part: Part) -> Message:
    post = post.for_channel("webhook")
    rewrite = campaign_rewrite(post, source="webhook")
    words = compose(
        post, limit=_NO_LIMIT, measure=len, rewrite=rewrite, part=part, title=False, link=False
    )
    comment = part is Part.FIRST_COMMENT
    options: dict[str, Any] = {}
    if post.poll and not comment:
        poll = post.poll
        options["poll"] = {
            "question": poll.question,
            "options": list(poll.options),
            "days": poll.days,
        }
    if post.actions and not comment:
        options["actions"] = [{"label": a.label, "url": a.url} for a in post.actions]
    note = reroute_note(post.rerouted, post.language) if post.rerouted else ""
    body = to_html(post.first_comment if comment else post.body, rewrite=rewrite)
    return Message(
        post_id=post.id,
        text=words.text,
        title=post.title,
        html=f"<p>{html.escape(note)}</p>\n{body}" if note and not comment else body,
        summary=post.summary,
        slug=slugify(post.title),
        link=rewrite(post.link) if post.link else None,
        media=() if comment else post.media,
        language=post.language,
        tags=post.tags,
        part=part,
        options=options,
    )


def event(
    message: Message, account_id: str, now: datetime, addresses: Sequence[str | None]
) -> dict[str, Any]:
    """`addresses`: of the media, in order."""
    return {
        "type": "post.published",
        "timestamp": now.isoformat(),
        "data": {
            "post_id": message.post_id,
            "account_id": account_id,
            "part": message.part,
            "title": message.title,
            "text": message.text,
            "html": message.html,
            "summary": message.summary,
            "slug": message.slug,
            "link": message.link,
            "language": message.language,
            "tags": list(message.tags),
            "media": [
                {"url": url, "alt": media.alt, "content_type": media.content_type}
                for media, url in zip(message.media, addresses, strict=True)
            ],
            "poll": message.options.get("poll"),
            "actions": message.options.get("actions", []),
            "reply_to": message.reply_to,
        },
    }


def problems(message: Message, *, lent: bool) -> Iterator[Problem]:
    """`lent`: whether what is on our disk gets an address."""
    if not (message.text or message.media or message.link or message.options):
        yield empty_problem()
    if len(message.media) > MAX_MEDIA:
        detail = f"A webhook names {MAX_MEDIA} pictures at most."
        yield Problem(
            code="too-many-images", detail=detail, field="media", remedy="Remove some of them."
        )
    for place, media in enumerate(message.media):
        if media.is_image and media.content_type not in IMAGE_TYPES:
            yield Problem(
                code="image-type",
                detail=f"Receivers are not promised {media.content_type}.",
                field=f"media[{place}]",
                remedy="Use a JPEG, PNG, GIF or WebP picture.",
            )
        yield from undescribed(media, f"media[{place}]")
    here = "lent" if lent else None
    missing = unreachable([media.url or (here if media.path else None) for media in message.media])
    if missing is not None:
        yield missing


def unreachable(addresses: Sequence[str | None]) -> Problem | None:
    """A receiver fetches pictures by address; one without any would silently be left out."""
    for place, address in enumerate(addresses):
        if address is None:
            return Problem(
                code="media-unreachable",
                detail="The receiver cannot fetch this file: it has no public address.",
                field=f"media[{place}]",
                remedy="Set ESTAFETTE_PUBLIC_URL, so that we lend it, or give its address.",
            )
    return None
