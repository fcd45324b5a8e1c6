"""What is said: a post as its author wrote it, and a message as one channel will show it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any


class Kind(StrEnum):
    """How much a post matters; plan B treats each differently."""

    ESSENTIAL = "essential"
    ORDINARY = "ordinary"
    PROMOTIONAL = "promotional"


@dataclass(frozen=True, slots=True, kw_only=True)
class Media:
    """A picture or video of a post: bytes on disk, or a public URL, or both."""

    id: str
    content_type: str
    alt: str = ""
    path: Path | None = None
    url: str | None = None
    width: int | None = None
    height: int | None = None
    size: int | None = None
    sha256: str = ""

    @property
    def is_image(self) -> bool:
        return self.content_type.startswith("image/")


@dataclass(frozen=True, slots=True, kw_only=True)
class Poll:
    """A question with two to four answers; `days` it stays open."""

    question: str
    options: tuple[str, ...]
    days: int = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """A button or quick reply: a label and where it leads (None: a plain answer)."""

    label: str
    url: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """What the author wants said differently on one channel; None keeps the post's own."""

    title: str | None = None
    body: str | None = None
    link: str | None = None
    media: tuple[Media, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reroute:
    """Why a post takes another road than planned, for the words that say so."""

    from_channel: str
    from_name: str
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Post:
    """What is to be said. `body` is Markdown; `language` a BCP 47 tag; `due_at` is UTC.

    `blog_url` is the post's page on the blog when there is one: where truncated texts point to.
    `campaign_tags`: add UTM parameters to our own links, those to `own_hosts` and to the blog.
    `rerouted` is set on a plan B delivery. `outlined`: rendered for its problems alone, so that
    what makes it beautiful may be left out. `why`: why its reader gets it, in a mail that is not
    for subscribers.
    """

    id: str
    title: str = ""
    body: str = ""
    summary: str = ""
    link: str | None = None
    media: tuple[Media, ...] = ()
    kind: Kind = Kind.ORDINARY
    language: str = "en"
    tags: tuple[str, ...] = ()
    poll: Poll | None = None
    actions: tuple[Action, ...] = ()
    first_comment: str = ""
    variants: Mapping[str, Variant] = field(default_factory=dict)
    due_at: datetime | None = None
    blog_url: str | None = None
    campaign_tags: bool = True
    own_hosts: tuple[str, ...] = ()
    rerouted: Reroute | None = None
    outlined: bool = False
    why: str = ""

    def for_channel(self, channel: str) -> Post:
        """This post with the author's variant for `channel` applied."""
        variant = self.variants.get(channel)
        if variant is None:
            return self
        return replace(
            self,
            title=self.title if variant.title is None else variant.title,
            body=self.body if variant.body is None else variant.body,
            link=self.link if variant.link is None else variant.link,
            media=self.media if variant.media is None else variant.media,
        )


class Part(StrEnum):
    """What of a post one delivery carries. A comment is a delivery of its own, so that its
    failure can never publish the post again. A stand-in is the post, written to those of its
    readers whom their own channel could not reach."""

    POST = "post"
    FIRST_COMMENT = "first-comment"
    CORRECTION = "correction"
    DIGEST = "digest"
    CATCH_UP = "catch-up"
    STAND_IN = "stand-in"


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A post rendered for one channel: exactly what will be sent, as the preview shows it.

    `text` counts within the channel's limit. `options` is what only this channel understands
    (plain JSON values). `reply_to` is the remote id that a first comment belongs to.
    """

    post_id: str
    text: str
    title: str = ""
    html: str = ""
    summary: str = ""
    slug: str = ""
    link: str | None = None
    media: tuple[Media, ...] = ()
    language: str = "en"
    tags: tuple[str, ...] = ()
    part: Part = Part.POST
    reply_to: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
