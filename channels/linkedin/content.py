"""A post as LinkedIn's fields: the text, and what stands below it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from channels.compose import (
    compose,
    empty_problem,
    hashtags,
    message_of,
    shortened_problem,
    undescribed,
)
from channels.linkedin import little_text
from channels.outcome import Problem, Severity
from channels.posts import Media, Message, Part, Post
from channels.words import campaign_rewrite, shorten, to_plain

TEXT_LIMIT = 3000
TITLE_LIMIT = 399
DESCRIPTION_LIMIT = 4085
ALT_LIMIT = 4086
MAX_IMAGES = 20
MAX_PIXELS = 36_152_320
IMAGE_TYPES = frozenset({"image/jpeg", "image/png", "image/gif"})
POLL_DURATIONS = {1: "ONE_DAY", 3: "THREE_DAYS", 7: "SEVEN_DAYS", 14: "FOURTEEN_DAYS"}


def rendered(post: Post, part: Part) -> Message:
    """Text, article, pictures or poll: LinkedIn shows one of the last three below the text."""
    post = post.for_channel("linkedin")
    rewrite = campaign_rewrite(post, source="linkedin")
    article = part is Part.POST and bool(post.link) and not post.poll and len(post.media) <= 1
    words = compose(
        post,
        limit=TEXT_LIMIT,
        measure=little_text.length,
        rewrite=rewrite,
        part=part,
        title=not (article and post.body),
        link=not article,
        closing=hashtags(post.tags),
    )
    options: dict[str, Any] = {"shortened": True} if words.shortened else {}
    if article and post.link:
        options["article"] = _article(post, rewrite(post.link))
    if post.poll and part is Part.POST:
        options["poll"] = {
            "question": post.poll.question,
            "options": list(post.poll.options),
            "days": post.poll.days,
        }
    return message_of(post, part, words, rewrite=rewrite, options=options, summary=post.summary)


def _article(post: Post, link: str) -> Mapping[str, str]:
    """LinkedIn does not look at the address itself: title and description come from us."""
    title = post.title or shorten(to_plain(post.body), TITLE_LIMIT) or link
    description = post.summary or to_plain(post.body)
    card = {"source": link, "title": shorten(title, TITLE_LIMIT)}
    if description:
        card["description"] = shorten(description, DESCRIPTION_LIMIT)
    return card


def body(message: Message, author: str, images: Sequence[str]) -> dict[str, Any]:
    """The JSON of `POST /rest/posts`. `images`: URNs of the message's pictures, in order."""
    fields: dict[str, Any] = {
        "author": author,
        "commentary": little_text.escape(message.text),
        "visibility": "PUBLIC",
        "distribution": {
            "feedDistribution": "MAIN_FEED",
            "targetEntities": [],
            "thirdPartyDistributionChannels": [],
        },
        "lifecycleState": "PUBLISHED",
        "isReshareDisabledByAuthor": False,
    }
    content = _content(message, images)
    return {**fields, "content": content} if content else fields


def _content(message: Message, images: Sequence[str]) -> dict[str, Any]:
    if poll := message.options.get("poll"):
        duration = POLL_DURATIONS[min(POLL_DURATIONS, key=lambda days: abs(days - poll["days"]))]
        answers = [{"text": text} for text in poll["options"]]
        settings = {"duration": duration}
        return {"poll": {"question": poll["question"], "options": answers, "settings": settings}}
    if article := message.options.get("article"):
        return {"article": {**article, "thumbnail": images[0]} if images else dict(article)}
    pictures = [
        {"id": urn, "altText": media.alt} if media.alt else {"id": urn}
        for urn, media in zip(images, message.media, strict=True)
    ]
    if len(pictures) == 1:
        return {"media": pictures[0]}
    return {"multiImage": {"images": pictures}} if pictures else {}


def problems(message: Message) -> Iterator[Problem]:
    if not (message.text or message.media or message.options.get("poll") or message.link):
        yield empty_problem()
    if little_text.length(message.text) > TEXT_LIMIT:
        yield Problem(
            code="text-too-long",
            detail=f"LinkedIn takes {TEXT_LIMIT} characters, escapes included.",
            field="body",
            remedy="Shorten the text.",
        )
    if message.options.get("shortened"):
        yield shortened_problem(TEXT_LIMIT)
    yield from _media_problems(message.media)
    if poll := message.options.get("poll"):
        yield from _poll_problems(poll, message.media)


def _media_problems(media: Sequence[Media]) -> Iterator[Problem]:
    if len(media) > MAX_IMAGES:
        yield Problem(
            code="too-many-images",
            detail=f"LinkedIn shows {MAX_IMAGES} pictures at most.",
            field="media",
            remedy="Remove some.",
        )
    for place, picture in enumerate(media):
        field = f"media[{place}]"
        if picture.content_type not in IMAGE_TYPES:
            yield Problem(
                code="image-type",
                detail=f"LinkedIn does not take {picture.content_type} here.",
                field=field,
                remedy="Use a JPEG, PNG or GIF picture.",
            )
        if (picture.width or 0) * (picture.height or 0) >= MAX_PIXELS:
            yield Problem(
                code="image-too-large",
                detail="LinkedIn takes pictures of less than 36,152,320 pixels.",
                field=field,
                remedy="Make the picture smaller.",
            )
        if len(picture.alt) > ALT_LIMIT:
            yield Problem(
                code="alt-too-long",
                detail=f"LinkedIn takes descriptions of {ALT_LIMIT} characters.",
                field=f"{field}.alt",
                remedy="Shorten the description.",
            )
        yield from undescribed(picture, field)


def _poll_problems(poll: Mapping[str, Any], media: Sequence[Media]) -> Iterator[Problem]:
    remedy = "LinkedIn polls: a question of 140 characters, 2 to 4 answers of 30, no picture."
    wrong = {
        "poll-question": not 0 < len(poll["question"]) <= 140,
        "poll-options": not 2 <= len(poll["options"]) <= 4
        or any(not 0 < len(text) <= 30 for text in poll["options"]),
        "poll-media": bool(media),
    }
    for code in (code for code, bad in wrong.items() if bad):
        yield Problem(code=code, detail="LinkedIn refuses this poll.", field="poll", remedy=remedy)
    if poll["days"] not in POLL_DURATIONS:
        yield Problem(
            code="poll-duration",
            detail="LinkedIn polls last 1, 3, 7 or 14 days; the nearest is taken.",
            field="poll.days",
            remedy="Choose one of these.",
            severity=Severity.WARNING,
        )
