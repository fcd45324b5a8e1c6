"""WordPress: upload the pictures, find or make the terms, publish the post once.

Only the last step publishes; whatever goes wrong before it has published nothing. Pictures and
terms are looked for before they are made, so that another attempt makes no second ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, ClassVar

from channels.base import Account, Capabilities, ChannelSettings, Tools
from channels.blog.article import IMAGE_TYPES, article, article_problems, figure, own_slug
from channels.blog.wordpress.errors import NEW_ROLE, code_of, read_refusal
from channels.blog.wordpress.library import Library
from channels.blog.wordpress.site import Sites, WordPressSettings
from channels.exchange import Answer
from channels.outcome import (
    Accepted,
    AccessReason,
    Delivered,
    Finding,
    Health,
    HealthStatus,
    Outcome,
    Problem,
    Unconfirmed,
)
from channels.posts import Message, Part, Post
from channels.steps import Stopped, unwell

_POSTS = "/wp/v2/posts"
_FIELDS = "id,link,slug,status"
_EVERY_STATUS = "publish,future,draft,pending,private,trash"


class WordPressAdapter:
    """A WordPress site as a channel."""

    name: ClassVar[str] = "blog.wordpress"
    channel: ClassVar[str] = "blog"
    capabilities: ClassVar[Capabilities] = Capabilities(
        text_limit=None,
        title=True,
        html=True,
        max_images=20,
        image_types=IMAGE_TYPES,
        # What most hosts let through; a larger one is WordPress's own "2560 px" business.
        image_max_bytes=2 * 1024 * 1024,
        actions=True,
        articles=True,
        findable=True,
    )
    settings_type: ClassVar[type[ChannelSettings]] = WordPressSettings

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._sites = Sites(tools)
        self._library = Library(self._sites)

    def render(self, post: Post, account: Account[Any], part: Part = Part.POST) -> Message:
        return article(post, part=part)

    def check(self, message: Message, account: Account[Any]) -> Sequence[Problem]:
        return article_problems(message, self.capabilities)

    async def send(
        self, message: Message, account: Account[WordPressSettings], *, key: str
    ) -> Outcome:
        try:
            body = await self._body(message, account)
            answer = await self._sites.call(
                account,
                "POST",
                _POSTS,
                params={"_fields": _FIELDS},
                json_body={**body, "status": "publish", "slug": own_slug(message, key)},
                writes=True,
            )
        except Stopped as stop:
            return stop.outcome
        return self._written(answer)

    async def address(
        self, message: Message, account: Account[WordPressSettings], *, key: str, keep: bool
    ) -> str | None:
        """By name: right whatever the site's permalinks are, and WordPress leads on to those."""
        return f"{account.settings.url}/?name={own_slug(message, key)}"

    async def _body(self, message: Message, account: Account[WordPressSettings]) -> dict[str, Any]:
        pictures = [await self._library.picture(account, media) for media in message.media]
        featured = next((picture for picture in pictures if picture.id), None)
        shown = [picture for picture in pictures if picture is not featured]
        return {
            "title": message.title,
            "content": "\n".join(
                [message.html, *(figure(picture.url, picture.alt) for picture in shown)]
            ),
            "excerpt": message.summary,
            "featured_media": featured.id if featured else 0,
            "categories": await self._library.terms(
                account, "categories", account.settings.categories
            ),
            "tags": await self._library.terms(account, "tags", message.tags),
        }

    def _written(self, answer: Answer) -> Outcome:
        """A 201 with an id is a success; its `status` says whether readers see the post."""
        fields = answer.fields
        if answer.status not in {200, 201} or not isinstance(fields.get("id"), int):
            if answer.status in {200, 201}:
                return Unconfirmed(
                    detail="the answer to the publication cannot be read",
                    evidence=answer.evidence(),
                )
            return read_refusal(answer, self._tools.now(), writes=True)
        remote_id, status = str(fields["id"]), str(fields.get("status", ""))
        evidence = answer.evidence(code=status)
        if status == "publish":
            return Delivered(remote_id=remote_id, url=fields.get("link"), evidence=evidence)
        return Accepted(remote_id=remote_id, url=fields.get("link"), evidence=evidence)

    async def find(
        self,
        message: Message,
        account: Account[WordPressSettings],
        *,
        key: str,
        since: datetime,
    ) -> Delivered | Finding:
        slug = own_slug(message, key)
        # WordPress refuses no slug: it appends a number to our double's, and a suffix in the bin.
        wanted = [slug, f"{slug}-2", f"{slug}-3", f"{slug}__trashed"]
        try:
            found = await self._search(account, wanted)
        except Stopped:
            return Finding.UNKNOWN
        if not found:
            return Finding.ABSENT
        visible = [post for post in found if post.get("status") in {"publish", "trash"}]
        if not visible:
            return Finding.UNKNOWN  # a draft, or waiting for review: a person decides
        first = min(visible, key=lambda post: int(post["id"]))
        note = ""
        if len(found) > 1:
            note = f"it exists {len(found)} times: " + ", ".join(str(p.get("link")) for p in found)
        elif first["status"] == "trash":
            note = "it is in the site's bin"
        return Delivered(remote_id=str(first["id"]), url=first.get("link"), note=note)

    async def _search(
        self, account: Account[WordPressSettings], slugs: Sequence[str]
    ) -> list[dict[str, Any]]:
        params = {
            "slug": ",".join(slugs),
            "status": _EVERY_STATUS,
            # Not in the context of editing: that hides what this user may see but not change.
            "_fields": _FIELDS,
        }
        answer = await self._sites.call(account, "GET", _POSTS, params=params)
        if answer.data is None or code_of(answer) == "rest_no_route":
            # The address was forgotten by that: look it up again, a read costs nothing.
            answer = await self._sites.call(account, "GET", _POSTS, params=params)
        if answer.status != 200 or not isinstance(answer.data, list):
            raise Stopped(read_refusal(answer, self._tools.now(), writes=False))
        return [post for post in answer.data if isinstance(post, dict)]

    async def edit(
        self, message: Message, account: Account[WordPressSettings], *, remote_id: str
    ) -> Outcome:
        try:
            body = await self._body(message, account)
            words = {name: body[name] for name in ("title", "content", "excerpt")}
            answer = await self._sites.call(
                account,
                "POST",
                f"{_POSTS}/{int(remote_id)}",
                params={"_fields": _FIELDS},
                json_body=words,
                writes=True,
            )
        except Stopped as stop:
            return stop.outcome
        return self._written(answer)

    async def withdraw(self, remote_id: str, account: Account[WordPressSettings]) -> Outcome:
        """Into the site's bin, where its owner can take it out again."""
        try:
            answer = await self._sites.call(
                account, "DELETE", f"{_POSTS}/{int(remote_id)}", writes=True
            )
        except Stopped as stop:
            return stop.outcome
        gone = code_of(answer) in {"rest_post_invalid_id", "rest_already_trashed"}
        if gone or (answer.status == 200 and answer.data is not None):
            return Delivered(remote_id=remote_id, evidence=answer.evidence(code=code_of(answer)))
        return read_refusal(answer, self._tools.now(), writes=True)

    async def probe(self, account: Account[WordPressSettings]) -> Health:
        self._sites.forget(account)
        try:
            user = await self._sites.expect(
                account, "GET", "/wp/v2/users/me", params={"context": "edit"}
            )
        except Stopped as stop:
            return unwell(stop.outcome)
        abilities = user.get("capabilities") if isinstance(user, dict) else None
        missing = [
            need
            for need in ("publish_posts", "upload_files")
            if not (isinstance(abilities, dict) and abilities.get(need))
        ]
        if missing:
            return Health(
                status=HealthStatus.ACCESS_LOST,
                reason=AccessReason.ROLE,
                detail=f"the user may not: {', '.join(missing)}",
                remedy=NEW_ROLE,
            )
        return Health(status=HealthStatus.HEALTHY, detail=f"publishes as {user.get('name', '')}")


ADAPTER = WordPressAdapter
