"""Where a shortened text says to read on: the article that the same post has on a blog.

Its address is known before it is published, so that texts that leave at the same time can name it;
they are sent once it stands. Nobody is sent to an article that failed, was cancelled, waits for a
person, or comes later than that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import structlog

from channels.abilities import HasArticles
from channels.outcome import HealthStatus, Severity
from channels.posts import Message, Part, Post
from scheduler.campaigns import read_post
from scheduler.clearance import LATE_ARTICLE
from scheduler.deliveries import Delivery, State
from scheduler.roster import Member, Roster
from scheduler.store import pointers as store
from scheduler.store.db import Database

log = structlog.get_logger()

Row = Mapping[str, Any]
_SHUT = frozenset({HealthStatus.ACCESS_LOST, HealthStatus.VANISHED})


async def foreseen(post: Post, members: Sequence[Member], now: int) -> str | None:
    """The article that this post, not stored yet, would have if it went to these accounts now."""
    for member in members:
        if not _writes_articles(member, now):
            continue
        channel = cast("HasArticles", member.channel)
        message = channel.render(post, member.account)
        problems = channel.check(message, member.account)
        if any(problem.severity is Severity.ERROR for problem in problems):
            continue
        return await channel.address(message, member.account, key="", keep=False)
    return None


async def standing(database: Database, roster: Roster, post: Post, now: int) -> str | None:
    """The article that a stored post has or will have, for showing its words beforehand."""
    articles = await store.articles_of(database, [post.id], roster.article_adapters)
    articles.sort(key=lambda article: article.state is not State.DELIVERED)
    blogs = await roster.members(article.account_id for article in articles)
    for article in articles:
        if article.state is State.DELIVERED:
            return article.url
        blog = blogs.get(article.account_id)
        if blog is not None and _writes_articles(blog, now):
            channel = cast("HasArticles", blog.channel)
            message = channel.render(post, blog.account)
            return await channel.address(message, blog.account, key=article.id, keep=False)
    return None


async def remembered(database: Database, delivery: Delivery) -> str | None:
    """The article that the words of this delivery named as they left."""
    return await store.remembered(database, delivery.id)


@dataclass(frozen=True, slots=True)
class Pointer:
    """Where a delivery's words lead to. `article`: the delivery that puts it there, None when it
    stands already. `url`: None when they lead nowhere."""

    url: str | None
    article: str | None

    def named_by(self, message: Message) -> bool:
        """Whether these words do lead there: those that are not cut may not."""
        url = self.url
        return url is not None and (url in message.text or url in message.html)


NOWHERE = Pointer(None, None)


class Pointers:
    """Finds the articles of one batch of deliveries."""

    def __init__(self, database: Database, roster: Roster) -> None:
        self._database = database
        self._roster = roster

    async def of(
        self,
        claimed: Sequence[Delivery],
        members: Mapping[str, Member],
        rows: Mapping[str, Row],
        told: Mapping[str, Row],
        now: int,
    ) -> dict[str, Pointer]:
        """Of each delivery with an article, by id; remembered in SQL. `rows`: of posts, by id;
        `told`: campaigns by id."""
        short = [
            delivery
            for delivery in claimed
            if delivery.part in {Part.POST, Part.STAND_IN}
            and not members[delivery.account_id].channel.capabilities.articles
        ]
        adapters = self._roster.article_adapters
        if not short or not adapters:
            return {}
        articles = await store.articles_of(self._database, (d.post_id for d in short), adapters)
        if not articles:
            return {}
        articles.sort(key=lambda article: article.state is not State.DELIVERED)
        blogs = await self._roster.members(article.account_id for article in articles)
        found: dict[str, Pointer] = {}
        known: dict[str, str | None] = {}
        for delivery in short:
            for article in articles:
                if article.post_id != delivery.post_id or not _before(
                    article, delivery, blogs.get(article.account_id), now
                ):
                    continue
                if article.id not in known:
                    row = rows[delivery.post_id]
                    blog = blogs.get(article.account_id)
                    known[article.id] = await _address(article, blog, row, told, now)
                url = known[article.id]
                if url is not None:
                    stands = article.state is State.DELIVERED
                    found[delivery.id] = Pointer(url, None if stands else article.id)
                    break
        about = {article.post_id for article in articles}
        unnamed = [d.id for d in short if d.post_id in about and d.id not in found]
        named = {name: pointer.url for name, pointer in found.items() if pointer.url}
        await store.remember(self._database, named, unnamed, now=now)
        return found


def _before(article: Delivery, delivery: Delivery, blog: Member | None, now: int) -> bool:
    """Whether the article stands when the other one's readers come."""
    if article.state is State.DELIVERED:
        return True
    if delivery.cause == LATE_ARTICLE:  # it was waited for already
        return False
    return blog is not None and article.due_at <= delivery.due_at and _writes_articles(blog, now)


def _writes_articles(member: Member, now: int) -> bool:
    able = member.channel.capabilities.articles
    return able and member.status not in _SHUT and member.paused_until <= now


async def _address(
    article: Delivery, blog: Member | None, row: Row, told: Mapping[str, Row], now: int
) -> str | None:
    """Where it stands or will stand; None when that cannot be said, which must hold up nobody."""
    if article.state is State.DELIVERED or blog is None:
        return article.url
    channel = cast("HasArticles", blog.channel)
    try:
        post = read_post(row, Path(), told, max(article.due_at, now))
        message = channel.render(post, blog.account)
        return await channel.address(message, blog.account, key=article.id, keep=True)
    except Exception:
        log.exception("article.address", delivery=article.id)
        return None
