"""The text of a post on a channel that shows plain text. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from channels.outcome import Problem, Severity
from channels.posts import Media, Message, Part, Post
from channels.sentences import read_more, reroute_note
from channels.words import Measure, Rewrite, shorten, to_plain


@dataclass(frozen=True, slots=True)
class Text:
    """`shortened`: the author wrote more than this."""

    text: str
    shortened: bool


def compose(
    post: Post,
    *,
    limit: int,
    measure: Measure,
    rewrite: Rewrite,
    part: Part = Part.POST,
    title: bool = True,
    link: bool = True,
    closing: str = "",
) -> Text:
    """Why it stands here (on a reroute), the title, the body, the link: one below the other.

    What does not fit is cut at a sentence and followed by where to read on and the link.
    `post` has the channel's variant applied. `title`, `link`: say them in the text (else the
    channel shows them beside it). `closing`: hashtags, which stand last and are never cut.
    """
    if closing and part is not Part.FIRST_COMMENT:
        room = limit - measure(f"\n\n{closing}")
        words = compose(
            post, limit=room, measure=measure, rewrite=rewrite, part=part, title=title, link=link
        )
        return Text("\n\n".join(filter(None, [words.text, closing])), words.shortened)
    if part is Part.FIRST_COMMENT:
        comment = to_plain(post.first_comment, rewrite=rewrite)
        return Text(shorten(comment, limit, measure=measure), measure(comment) > limit)
    note = reroute_note(post.rerouted, post.language) if post.rerouted else ""
    body = to_plain(post.body or post.summary, rewrite=rewrite)
    heading = post.title if title and not body.startswith(post.title) else ""
    main = "\n\n".join(filter(None, [note, heading, body]))
    target = rewrite(post.link) if link and post.link else ""
    if target and target in main:
        target = ""
    tail = f"\n\n{target}" if target else ""
    if measure(main + tail) <= limit:
        return Text((main + tail).strip(), shortened=False)
    more = tail
    if post.blog_url:
        both = "\n\n" + read_more(rewrite(post.blog_url), post.language) + tail
        # Where room is short, the link that the author chose matters more.
        more = both if not tail or 2 * measure(both) <= limit else tail
    cut = shorten(main + tail, limit, measure=measure, more=more)
    return Text(cut.strip(), shortened=True)


def message_of(
    post: Post,
    part: Part,
    words: Text,
    *,
    rewrite: Rewrite,
    options: Mapping[str, Any],
    summary: str = "",
) -> Message:
    """The post as a channel of plain text sends it: `words` are its text, the pictures go with
    the post itself, and `options` are the channel's own."""
    return Message(
        post_id=post.id,
        text=words.text,
        title=post.title,
        summary=summary,
        link=rewrite(post.link) if post.link else None,
        media=post.media if part is Part.POST else (),
        language=post.language,
        tags=post.tags,
        part=part,
        options=options,
    )


def hashtags(tags: Iterable[str]) -> str:
    """`#PetitDéjeuner #Reopening`: words joined, and none of digits alone, which is no hashtag."""
    words = [re.findall(r"\w+", tag) for tag in tags]
    joined = ["".join(part[:1].upper() + part[1:] for part in tag) for tag in words]
    return " ".join(f"#{tag}" for tag in joined if tag and not tag.isdigit())


def empty_problem() -> Problem:
    return Problem(
        code="empty",
        detail="There is nothing to publish.",
        field="body",
        remedy="Write a text, or add a link or a picture.",
    )


def undescribed(picture: Media, field: str) -> Iterator[Problem]:
    """What it costs to leave a picture of a short post without its description."""
    if picture.is_image and not picture.alt:
        yield Problem(
            code="alt-missing",
            detail="This picture has no description for those who cannot see it.",
            field=f"{field}.alt",
            remedy="Describe the picture in a sentence.",
            severity=Severity.WARNING,
        )


def shortened_problem(limit: int) -> Problem:
    return Problem(
        code="text-shortened",
        detail=f"Only {limit} characters fit here; the rest is cut at a sentence.",
        field="body",
        remedy="Write a shorter variant for this channel.",
        severity=Severity.WARNING,
    )
