"""Ghost: upload the pictures, publish the post once, find it by our own slug."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, ClassVar

import nh3

from channels.base import Account, Capabilities, ChannelSettings, Tools
from channels.blog.article import IMAGE_TYPES, article, article_problems, figure, own_slug
from channels.blog.ghost.errors import evidence_of, read_refusal
from channels.blog.ghost.site import GhostSettings, Sites
from channels.blog.gone import lost_picture
from channels.exchange import Answer
from channels.outcome import (
    Accepted,
    Delivered,
    Finding,
    Health,
    HealthStatus,
    Outcome,
    Problem,
    Unavailable,
    Unconfirmed,
)
from channels.posts import Media, Message, Part, Post
from channels.steps import Stopped, unwell
from channels.words import shorten

TITLE_LIMIT = 255
EXCERPT_LIMIT = 300
ALT_LIMIT = 191
_KNOWN_PICTURES = 500
_SUFFIX = {"image/jpeg": "jpg", "image/png": "png", "image/gif": "gif", "image/webp": "webp"}


class GhostAdapter:
    """A Ghost site as a channel."""

    name: ClassVar[str] = "blog.ghost"
    channel: ClassVar[str] = "blog"
    capabilities: ClassVar[Capabilities] = Capabilities(
        text_limit=None,
        title=True,
        html=True,
        max_images=20,
        image_types=IMAGE_TYPES,
        image_max_bytes=5 * 1024 * 1024,
        actions=True,
        articles=True,
        findable=True,
    )
    settings_type: ClassVar[type[ChannelSettings]] = GhostSettings

    def __init__(self, tools: Tools) -> None:
        self._sites = Sites(tools)
        self._pictures: dict[tuple[str, str], str] = {}

    def render(self, post: Post, account: Account[Any], part: Part = Part.POST) -> Message:
        message = article(post, part=part)
        return replace(message, summary=shorten(message.summary, EXCERPT_LIMIT))

    def check(self, message: Message, account: Account[Any]) -> Sequence[Problem]:
        problems = article_problems(message, self.capabilities)
        if len(message.title) > TITLE_LIMIT:
            problems.append(
                Problem(
                    code="title-too-long",
                    field="title",
                    detail=f"{len(message.title)} characters; Ghost takes {TITLE_LIMIT}",
                    remedy="give the post a shorter title",
                )
            )
        return problems

    async def send(self, message: Message, account: Account[GhostSettings], *, key: str) -> Outcome:
        try:
            post = {
                **await self._body(message, account),
                "status": "published",
                "slug": own_slug(message, key),
                "tags": [{"name": tag} for tag in message.tags],
            }
            answer = await self._sites.call(
                account,
                "POST",
                "/posts/",
                params={"source": "html"},
                json_body={"posts": [post]},
                writes=True,
            )
        except Stopped as stop:
            return stop.outcome
        return self._written(answer)

    async def address(
        self, message: Message, account: Account[GhostSettings], *, key: str, keep: bool
    ) -> str | None:
        """Ghost's own route for posts; a site with others of its own leads on from there."""
        return f"{account.settings.url}/{own_slug(message, key)}/"

    async def _body(self, message: Message, account: Account[GhostSettings]) -> dict[str, Any]:
        """The words and pictures of a post. Error: `Stopped`."""
        pictures = [(await self._picture(account, media), media.alt) for media in message.media]
        url, alt = pictures[0] if pictures else (None, None)
        return {
            "title": message.title,
            "html": "\n".join([message.html, *(figure(*picture) for picture in pictures[1:])]),
            "custom_excerpt": message.summary or None,
            "feature_image": url,
            "feature_image_alt": alt[:ALT_LIMIT] if alt else None,
        }

    async def _picture(self, account: Account[GhostSettings], media: Media) -> str:
        """Where the site shows this picture. Ghost cannot be asked what it has, so this process
        remembers what it uploaded; a picture uploaded twice is an unused file, no double post."""
        if media.path is None:
            if media.url is None:
                raise Stopped(lost_picture(media))
            return media.url
        try:
            content = await asyncio.to_thread(media.path.read_bytes)
        except OSError:
            raise Stopped(lost_picture(media)) from None
        digest = hashlib.sha256(content).hexdigest()
        known = (account.settings.url, digest)
        if known not in self._pictures:
            name = f"{digest[:24]}.{_SUFFIX.get(media.content_type, 'bin')}"
            fields = await self._sites.expect(
                account, "POST", "/images/upload/", file=(content, name, media.content_type)
            )
            if len(self._pictures) >= _KNOWN_PICTURES:
                self._pictures.clear()
            self._pictures[known] = _url_in(fields)
        return self._pictures[known]

    def _written(self, answer: Answer, *, item: bool = False) -> Outcome:
        """A post with an id is a success; its `status` says whether readers see it."""
        post = _post_in(answer.fields)
        if answer.status not in {200, 201}:
            return read_refusal(answer, self._sites.now(), writes=True, item=item)
        if post is None:
            return Unconfirmed(
                detail="the answer to the publication cannot be read", evidence=evidence_of(answer)
            )
        evidence = answer.evidence(code=str(post.get("status", "")))
        if post.get("status") == "published":
            return Delivered(remote_id=str(post["id"]), url=post.get("url"), evidence=evidence)
        return Accepted(remote_id=str(post["id"]), url=post.get("url"), evidence=evidence)

    async def find(
        self, message: Message, account: Account[GhostSettings], *, key: str, since: datetime
    ) -> Delivered | Finding:
        slug = own_slug(message, key)
        # Ghost refuses no slug: it appends a number to our double's.
        wanted = ",".join([slug, f"{slug}-2", f"{slug}-3"])
        params = {"filter": f"slug:[{wanted}]", "fields": "id,url,slug,status", "limit": "10"}
        try:
            fields = await self._sites.expect(account, "GET", "/posts/", params=params)
        except Stopped:
            return Finding.UNKNOWN
        posts = fields.get("posts")
        if not isinstance(posts, list):
            return Finding.UNKNOWN
        if not posts:
            return Finding.ABSENT
        visible = [post for post in posts if post.get("status") in {"published", "sent"}]
        if not visible:
            return Finding.UNKNOWN  # somebody made a draft of it: a person decides
        first = min(visible, key=lambda post: len(str(post["slug"])))
        note = ""
        if len(posts) > 1:
            note = f"it exists {len(posts)} times: " + ", ".join(str(p.get("url")) for p in posts)
        return Delivered(remote_id=str(first["id"]), url=first.get("url"), note=note)

    async def edit(
        self, message: Message, account: Account[GhostSettings], *, remote_id: str
    ) -> Outcome:
        try:
            words = await self._body(message, account)
            words = {name: words[name] for name in ("title", "html", "custom_excerpt")}
            return await self._change(account, remote_id, words)
        except Stopped as stop:
            return stop.outcome

    async def withdraw(self, remote_id: str, account: Account[GhostSettings]) -> Outcome:
        """Back to a draft: readers no longer see it, and its owner can publish it again."""
        try:
            outcome = await self._change(account, remote_id, {"status": "draft"})
        except Stopped as stop:
            outcome = stop.outcome
        match outcome:
            case Accepted():
                return Delivered(remote_id=remote_id, evidence=outcome.evidence)
            case _ if getattr(getattr(outcome, "problem", None), "code", "") == "post-gone":
                return Delivered(remote_id=remote_id, evidence=outcome.evidence)
            case _:
                return outcome

    async def _change(
        self, account: Account[GhostSettings], remote_id: str, changes: Mapping[str, Any]
    ) -> Outcome:
        """Ghost wants to know which version we change; when somebody was faster, our change may
        be in already (an answer lost on the way), or goes on top of theirs. Error: `Stopped`."""
        path = f"/posts/{remote_id}/"
        answer: Answer | None = None
        for _ in range(2):
            now_there = await self._sites.expect(
                account, "GET", path, params={"formats": "html"}, item=True
            )
            post = _post_in(now_there)
            if post is None:
                raise Stopped(Unavailable(reason="the site did not say which version it has"))
            if answer is not None and _is_in(changes, post):
                return Delivered(remote_id=remote_id, url=post.get("url"))
            answer = await self._sites.call(
                account,
                "PUT",
                path,
                params={"source": "html"},
                json_body={"posts": [{**changes, "updated_at": post.get("updated_at")}]},
                writes=True,
            )
            if answer.status != 409:
                break
        assert answer is not None
        return self._written(answer, item=True)

    async def probe(self, account: Account[GhostSettings]) -> Health:
        try:
            site = await self._sites.expect(account, "GET", "/site/")
            await self._sites.expect(account, "GET", "/config/")
        except Stopped as stop:
            return unwell(stop.outcome)
        about = site.get("site")
        version = about.get("version", "") if isinstance(about, dict) else ""
        return Health(status=HealthStatus.HEALTHY, detail=f"Ghost {version}".strip())


def _post_in(fields: Mapping[str, Any]) -> Mapping[str, Any] | None:
    posts = fields.get("posts")
    first = posts[0] if isinstance(posts, list) and posts else None
    return first if isinstance(first, dict) and first.get("id") else None


def _url_in(fields: Mapping[str, Any]) -> str:
    images = fields.get("images")
    first = images[0] if isinstance(images, list) and images else None
    url = first.get("url") if isinstance(first, dict) else None
    if not isinstance(url, str) or not url:
        raise Stopped(Unavailable(reason="Ghost did not say where the picture went"))
    return url


def _is_in(changes: Mapping[str, Any], post: Mapping[str, Any]) -> bool:
    """Whether the post already says what we want it to. Its HTML is compared by its words: Ghost
    writes the tags its own way."""
    return all(
        _words(value) == _words(post.get(name)) if name == "html" else value == post.get(name)
        for name, value in changes.items()
    )


def _words(html: Any) -> list[str]:
    return nh3.clean(str(html or ""), tags=set()).split()


ADAPTER = GhostAdapter
