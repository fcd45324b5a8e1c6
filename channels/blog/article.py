"""A post as an article: what the three blogs have in common. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from html import escape

from channels.base import Capabilities
from channels.outcome import Problem, Severity
from channels.posts import Action, Media, Message, Part, Poll, Post
from channels.sentences import reroute_note
from channels.words import lead, shorten, slugify, to_html, to_plain

SUMMARY_LENGTH = 200
TITLE_LENGTH = 70
UNKNOWN_TAIL = "x" * 12
IMAGE_TYPES = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})


def article(post: Post, *, part: Part = Part.POST) -> Message:
    """The whole post as HTML. Its title, when it has none, is its first sentence."""
    post = post.for_channel("blog")
    plain = to_plain(post.body)
    title = " ".join(post.title.split()) or shorten(plain.split("\n", 1)[0], TITLE_LENGTH)
    return Message(
        post_id=post.id,
        part=part,
        title=title,
        text=plain,
        html="\n".join(filter(None, _blocks(post))),
        summary=post.summary or shorten(lead(post.body), SUMMARY_LENGTH),
        slug=slugify(title),
        link=post.link,
        media=post.media,
        language=post.language,
        tags=post.tags,
    )


def _blocks(post: Post) -> Iterable[str]:
    if post.rerouted is not None:
        yield f"<p><em>{escape(reroute_note(post.rerouted, post.language))}</em></p>"
    yield to_html(post.body)
    if post.poll is not None:
        yield _poll(post.poll)
    if post.link and post.link not in post.body:
        yield _link(post.link, post.link)
    if post.actions:
        yield _actions(post.actions)


def _poll(poll: Poll) -> str:
    options = "".join(f"<li>{escape(option)}</li>" for option in poll.options)
    return f"<p><strong>{escape(poll.question)}</strong></p>\n<ul>{options}</ul>"


def _link(url: str, label: str) -> str:
    return to_html(f"[{_as_text(label)}](<{url}>)")


def _actions(actions: Sequence[Action]) -> str:
    links = (_link(action.url, action.label) for action in actions if action.url)
    return "\n".join(link.replace("<p>", '<p class="action">', 1) for link in links)


def _as_text(label: str) -> str:
    return "".join(f"\\{char}" if char in "\\[]`*_<>&!~" else char for char in label)


def figure(url: str, alt: str) -> str:
    """A picture of the article, as HTML for a blog that has no place of its own for it."""
    return f'<figure><img src="{escape(url)}" alt="{escape(alt)}"></figure>'


def own_slug(message: Message, key: str, *, limit: int = 80) -> str:
    """The address we choose, so that `find` is exact: the title's words for people, and a tail
    that only this delivery has; crosses instead, as long as it has no key."""
    tail = hashlib.sha256(key.encode()).hexdigest()[:12] if key else UNKNOWN_TAIL
    head = message.slug[: limit - len(tail) - 1].rstrip("-")
    return f"{head}-{tail}" if head else tail


def article_problems(message: Message, capabilities: Capabilities) -> list[Problem]:
    """What a blog cannot carry, and what its readers would miss."""
    problems = []
    if not (message.html or message.media):
        problems.append(
            Problem(
                code="empty",
                field="body",
                detail="there is nothing to publish",
                remedy="write a body, or attach a picture",
            )
        )
    if not message.title:
        problems.append(
            Problem(
                code="title-missing",
                field="title",
                detail="an article needs a title",
                remedy="give the post a title",
            )
        )
    if len(message.media) > capabilities.max_images:
        problems.append(
            Problem(
                code="too-many-images",
                field="media",
                detail=f"{len(message.media)} pictures; this blog takes {capabilities.max_images}",
                remedy="leave out the least important ones",
            )
        )
    for at, media in enumerate(message.media):
        problems.extend(_media_problems(media, f"media[{at}]", capabilities))
    return problems


def _media_problems(media: Media, name: str, capabilities: Capabilities) -> Iterable[Problem]:
    if media.content_type not in capabilities.image_types:
        yield Problem(
            code="media-type",
            field=name,
            detail=f"this blog cannot show {media.content_type}",
            remedy=f"use one of {', '.join(sorted(capabilities.image_types))}",
        )
    elif media.path is None and media.url is None:
        yield Problem(
            code="media-missing",
            field=name,
            detail="the picture has neither a file nor an address",
            remedy="upload the picture again",
        )
    limit = capabilities.image_max_bytes
    if limit is not None and media.size is not None and media.size > limit:
        yield Problem(
            code="image-too-large",
            field=name,
            detail=f"{media.size} bytes; this blog takes {limit}",
            remedy="use a smaller picture",
        )
    if not media.alt.strip():
        yield Problem(
            code="alt-missing",
            field=f"{name}.alt",
            detail="people who cannot see the picture get nothing",
            remedy="describe the picture in one sentence",
            severity=Severity.WARNING,
        )
