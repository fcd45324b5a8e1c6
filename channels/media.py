"""Which form of a picture a channel can take. Pure: `scheduler.media` makes the files."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from channels.base import Capabilities, Channel
from channels.posts import Media, Post

# What to turn a picture into, in this order, when the channel does not take it as it is.
_PREFERRED = ("image/jpeg", "image/png", "image/webp", "image/gif")


@dataclass(frozen=True, slots=True, kw_only=True)
class VariantPlan:
    """The picture to make: its type, its size in pixels, and the most bytes it may have."""

    content_type: str
    width: int
    height: int
    max_bytes: int | None = None


def plan_variant(media: Media, capabilities: Capabilities) -> VariantPlan | None:
    """The variant this channel needs; None when it takes the picture as it is, or none at all.

    A picture that only has too many bytes keeps its pixels: fewer bytes are the maker's to find.
    """
    if not media.is_image or not capabilities.image_types or not media.width or not media.height:
        return None
    width, height = _within(media.width, media.height, capabilities.image_max_pixels)
    right_type = media.content_type in capabilities.image_types
    too_many_bytes = (
        capabilities.image_max_bytes is not None
        and media.size is not None
        and media.size > capabilities.image_max_bytes
    )
    if right_type and not too_many_bytes and (width, height) == (media.width, media.height):
        return None
    # JPEG shrinks by quality; PNG and GIF could only lose pixels.
    keep = right_type and not (too_many_bytes and "image/jpeg" in capabilities.image_types)
    return VariantPlan(
        content_type=media.content_type if keep else _preferred(capabilities.image_types),
        width=width,
        height=height,
        max_bytes=capabilities.image_max_bytes,
    )


def foreseen(post: Post, channel: Channel) -> Post:
    """The post with its pictures as this channel will get them: for planning, before any is made.

    What the channel cannot carry then stays its own to say, in `check`.
    """
    media = [_planned(item, channel.capabilities) for item in shown(post, channel)]
    return showing(post, channel, media)


def shown(post: Post, channel: Channel) -> tuple[Media, ...]:
    """The media of the post on this channel."""
    return post.for_channel(channel.channel).media


def showing(post: Post, channel: Channel, media: Sequence[Media]) -> Post:
    """The post with `media` in the place of those that this channel shows."""
    variant = post.variants.get(channel.channel)
    if variant is None or variant.media is None:
        return replace(post, media=tuple(media))
    own = replace(variant, media=tuple(media))
    return replace(post, variants={**post.variants, channel.channel: own})


def _planned(media: Media, capabilities: Capabilities) -> Media:
    plan = plan_variant(media, capabilities)
    if plan is None:
        return media
    size = media.size if plan.max_bytes is None else min(media.size or 0, plan.max_bytes)
    return replace(
        media, content_type=plan.content_type, width=plan.width, height=plan.height, size=size
    )


def _within(width: int, height: int, max_pixels: int | None) -> tuple[int, int]:
    if max_pixels is None or width * height <= max_pixels:
        return width, height
    scale = math.sqrt(max_pixels / (width * height))
    return max(1, int(width * scale)), max(1, int(height * scale))


def _preferred(types: frozenset[str]) -> str:
    return next((kind for kind in _PREFERRED if kind in types), min(types))
