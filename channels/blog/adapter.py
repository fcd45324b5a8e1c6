"""The built-in site: a page in our own store, served at `/blog`.

The store keeps one page per key, so a second `send` finds the first one's page.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Any, ClassVar
from urllib.parse import urlsplit

from pydantic import field_validator

from channels.base import Account, Capabilities, ChannelSettings, Page, Tools
from channels.blog.article import IMAGE_TYPES, article, article_problems, own_slug
from channels.blog.gone import lost_picture
from channels.outcome import (
    AccessLost,
    AccessReason,
    Delivered,
    Finding,
    Health,
    HealthStatus,
    Outcome,
    Problem,
    Rejected,
)
from channels.posts import Media, Message, Part, Post

_NO_SITE = "this process serves no built-in site"
_NO_SITE_REMEDY = "start the service with its own database, or connect WordPress or Ghost"


class BlogSettings(ChannelSettings):
    """`base_url`: how readers reach this service, without the `/blog`."""

    base_url: str

    @field_validator("base_url")
    @classmethod
    def _absolute(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError("must be an http(s) address, such as https://www.example.com")
        return value.rstrip("/")


class BlogAdapter:
    """The built-in site as a channel."""

    name: ClassVar[str] = "blog"
    channel: ClassVar[str] = "blog"
    capabilities: ClassVar[Capabilities] = Capabilities(
        text_limit=None,
        title=True,
        html=True,
        max_images=50,
        image_types=IMAGE_TYPES,
        actions=True,
        articles=True,
        idempotent=True,
        findable=True,
    )
    settings_type: ClassVar[type[ChannelSettings]] = BlogSettings

    def __init__(self, tools: Tools) -> None:
        self._tools = tools

    def render(self, post: Post, account: Account[Any], part: Part = Part.POST) -> Message:
        return article(post, part=part)

    def check(self, message: Message, account: Account[Any]) -> Sequence[Problem]:
        return article_problems(message, self.capabilities)

    async def send(self, message: Message, account: Account[BlogSettings], *, key: str) -> Outcome:
        site = self._tools.site
        if site is None:
            return _no_site()
        lost = await asyncio.to_thread(_first_lost, message.media)
        if lost is not None:
            return lost_picture(lost)
        path = await site.publish(
            Page(
                key=key,
                account_id=account.id,
                post_id=message.post_id,
                # Of a title without Latin letters only the tail is left.
                slug=message.slug or own_slug(message, key),
                title=message.title,
                html=message.html,
                summary=message.summary,
                language=message.language,
                tags=message.tags,
                media=message.media,
                published_at=self._tools.now(),
            )
        )
        return _delivered(key, path, account)

    async def find(
        self,
        message: Message,
        account: Account[BlogSettings],
        *,
        key: str,
        since: datetime,
    ) -> Delivered | Finding:
        if self._tools.site is None:
            return Finding.UNKNOWN
        path = await self._tools.site.find(key)
        return Finding.ABSENT if path is None else _delivered(key, path, account)

    async def address(
        self, message: Message, account: Account[BlogSettings], *, key: str, keep: bool
    ) -> str | None:
        if self._tools.site is None:
            return None
        slug = message.slug or own_slug(message, key)
        path = await self._tools.site.address(key, slug, keep=keep)
        return f"{account.settings.base_url}{path}"

    async def edit(
        self, message: Message, account: Account[BlogSettings], *, remote_id: str
    ) -> Outcome:
        site = self._tools.site
        if site is None:
            return _no_site()
        path = await site.edit(
            remote_id, title=message.title, html=message.html, summary=message.summary
        )
        if path is None:
            return Rejected(
                problem=Problem(
                    code="post-gone",
                    detail="the site has no such page",
                    remedy="publish it as a new post",
                )
            )
        return _delivered(remote_id, path, account)

    async def withdraw(self, remote_id: str, account: Account[BlogSettings]) -> Outcome:
        """The page's address answers 410 from then on."""
        if self._tools.site is None:
            return _no_site()
        await self._tools.site.withdraw(remote_id)
        return Delivered(remote_id=remote_id)

    async def probe(self, account: Account[BlogSettings]) -> Health:
        if self._tools.site is None:
            return Health(
                status=HealthStatus.ACCESS_LOST,
                reason=AccessReason.MISCONFIGURED,
                detail=_NO_SITE,
                remedy=_NO_SITE_REMEDY,
            )
        # No key is an account's id: this only asks whether the store answers.
        await self._tools.site.find(
            account.id
        )  # no key is an account's id: only the store is asked
        return Health(status=HealthStatus.HEALTHY, detail=f"{account.settings.base_url}/blog")


def _first_lost(media: Sequence[Media]) -> Media | None:
    """The first picture whose file is gone: readers would see a hole in the page."""
    return next((m for m in media if m.path is not None and not m.path.is_file()), None)


def _no_site() -> AccessLost:
    return AccessLost(reason=AccessReason.MISCONFIGURED, detail=_NO_SITE, remedy=_NO_SITE_REMEDY)


def _delivered(key: str, path: str, account: Account[BlogSettings]) -> Delivered:
    return Delivered(remote_id=key, url=f"{account.settings.base_url}{path}")


ADAPTER = BlogAdapter
