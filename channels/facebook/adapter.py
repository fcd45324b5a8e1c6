"""Facebook Pages: what we send, how we read the answer.

A page without words to show for it is worse than a late one: every picture is uploaded before
anything becomes visible, and one that fails stops the post.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any, ClassVar

import aiohttp
from pydantic import Field, SecretStr

from channels.abilities import Candidate
from channels.base import Account, Capabilities, ChannelSettings, Tools
from channels.facebook import oauth, signature
from channels.facebook.check import problems
from channels.facebook.errors import Verdict
from channels.facebook.graph import Form, Graph, GraphSettings, Refusal, Road, Success
from channels.facebook.lookup import look_for
from channels.facebook.oauth import GraphApp
from channels.facebook.probe import followers_of, probe_page
from channels.facebook.render import MAX_PHOTOS, PHOTO_MAX_BYTES, PHOTO_TYPES, TEXT_LIMIT, rendered
from channels.facebook.webhook import receipts_in
from channels.outcome import (
    Accepted,
    AccessLost,
    Delivered,
    Finding,
    Health,
    Outcome,
    Problem,
    Rejected,
    Unavailable,
    Unconfirmed,
)
from channels.posts import Media, Message, Part, Post
from channels.receipts import Receipt

UPLOAD_TIMEOUT = 120.0
TASKS = frozenset({"CREATE_CONTENT", "MODERATE", "MANAGE"})
SCOPES = frozenset({"pages_manage_posts", "pages_read_engagement"})
# A text that Facebook calls a repeat was published by an earlier attempt, if at all, this lately.
_REPEAT_WINDOW = timedelta(minutes=15)
_READ_BACK = {"fields": "id,permalink_url"}


class FacebookSettings(GraphSettings):
    """One page. `www_url`: where readers see it and its posts. `verify_token`: agreed with Meta
    when the webhook is set up; without it and the app secret no webhook is accepted."""

    verify_token: SecretStr | None = None
    www_url: Annotated[str, Field(pattern=r"^https?://[^\s?#]+$")] = "https://www.facebook.com"


class FacebookAdapter:
    """See `channels.base`: `Publishes`; `channels.abilities`: `Edits`, `Withdraws`, `Connects`,
    `Counts` and `HasPage`; `channels.receipts`: `Receives`."""

    name: ClassVar[str] = "facebook"
    channel: ClassVar[str] = "facebook"
    settings_type: ClassVar[type[ChannelSettings]] = FacebookSettings
    app_type: ClassVar[type[ChannelSettings]] = GraphApp
    capabilities: ClassVar[Capabilities] = Capabilities(
        text_limit=TEXT_LIMIT,
        text_unit="utf16",
        max_images=MAX_PHOTOS,
        image_types=PHOTO_TYPES,
        image_max_bytes=PHOTO_MAX_BYTES,
        video=True,
        first_comment=True,
        settles_after=timedelta(minutes=2),
    )

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._graph = Graph(tools)
        self._now = tools.now

    def render(self, post: Post, account: Account[Any], part: Part = Part.POST) -> Message:
        return rendered(post.for_channel(self.channel), part)

    def check(self, message: Message, account: Account[Any]) -> Sequence[Problem]:
        return problems(message)

    async def send(self, message: Message, account: Account[Any], *, key: str) -> Outcome:
        way = account.settings.road
        ended = await self._publish(message, way)
        if isinstance(ended, _Published):
            return _delivered(ended, account.settings)
        if not isinstance(ended, Refusal):
            return ended
        if ended.verdict is Verdict.DUPLICATE:
            return await self._repeated(message, way, ended)
        if ended.verdict is Verdict.GONE and message.part is Part.FIRST_COMMENT:
            return _no_such_post(ended)
        return ended.outcome

    async def find(
        self, message: Message, account: Account[Any], *, key: str, since: datetime
    ) -> Delivered | Finding:
        return await look_for(self._graph, account.settings.road, message, since=since)

    def authorize_url(self, app: GraphApp, *, redirect_uri: str, state: str) -> str:
        return oauth.authorize_url(app, scopes=SCOPES, redirect_uri=redirect_uri, state=state)

    async def exchange(
        self, app: GraphApp, *, code: str, redirect_uri: str
    ) -> Sequence[Candidate] | AccessLost | Unavailable:
        return await oauth.exchange(
            self._tools, app, code=code, redirect_uri=redirect_uri, scopes=SCOPES, tasks=TASKS
        )

    def challenge(self, query: Mapping[str, str], account: Account[Any]) -> str | None:
        return signature.challenge(query, account.settings.verify_token)

    def verified(self, headers: Mapping[str, str], raw_body: bytes, account: Account[Any]) -> bool:
        return signature.verified(headers, raw_body, account.settings.app_secret)

    def receipts(self, raw_body: bytes, account: Account[Any]) -> Sequence[Receipt]:
        return receipts_in(raw_body, account.settings.page_id)

    async def probe(self, account: Account[Any]) -> Health:
        return await probe_page(self._graph, account.settings.road, scopes=SCOPES)

    async def followers(self, account: Account[Any]) -> int | None:
        return await followers_of(self._graph, account.settings.road)

    def public_url(self, account: Account[Any]) -> str | None:
        return f"{account.settings.www_url}/{account.settings.page_id}"

    async def edit(self, message: Message, account: Account[Any], *, remote_id: str) -> Outcome:
        way = account.settings.road
        form = {**way.proof, "message": message.text}
        answer = await self._graph.write(way.root / remote_id, way, form)
        return _changed(answer, remote_id)

    async def withdraw(self, remote_id: str, account: Account[Any]) -> Outcome:
        way = account.settings.road
        return _changed(await self._graph.delete(way.root / remote_id, way), remote_id)

    async def _publish(self, message: Message, way: Road) -> _Published | Refusal | Outcome:
        if message.part is Part.FIRST_COMMENT:
            return await self._comment(message, way)
        if not message.media:
            return await self._feed(message, way, {})
        if not message.media[0].is_image:
            return await self._video(message, message.media[0], way)
        if len(message.media) == 1:
            return await self._photo(message, way)
        return await self._album(message, way)

    async def _feed(
        self, message: Message, way: Road, extra: dict[str, str]
    ) -> _Published | Refusal:
        form = {**way.proof, **extra, "message": message.text}
        if message.link:
            form["link"] = message.link
        return _published(await self._graph.write(way.feed, way, form))

    async def _comment(self, message: Message, way: Road) -> _Published | Refusal | Outcome:
        if not message.reply_to:
            return _rejected("no-post", "The post that this comment belongs to is not known.")
        url = (way.root / message.reply_to / "comments").with_query(_READ_BACK)
        form = {**way.proof, "message": message.text}
        return _published(await self._graph.write(url, way, form))

    async def _photo(self, message: Message, way: Road) -> _Published | Refusal | Outcome:
        form = await _photo_form(message.media[0], {**way.proof, "caption": message.text})
        if isinstance(form, Rejected):
            return form
        url = way.page / "photos"
        return _published(await self._graph.write(url, way, form, timeout=UPLOAD_TIMEOUT))

    async def _album(self, message: Message, way: Road) -> _Published | Refusal | Outcome:
        uploads = await asyncio.gather(*(self._upload(item, way) for item in message.media))
        failed = next((upload for upload in uploads if not isinstance(upload, str)), None)
        if failed is not None:
            return failed
        attached = json.dumps([{"media_fbid": upload} for upload in uploads])
        return await self._feed(message, way, {"attached_media": attached})

    async def _upload(self, item: Media, way: Road) -> str | Refusal | Outcome:
        """The id of a picture that nobody sees yet."""
        form = await _photo_form(item, {**way.proof, "published": "false"})
        if isinstance(form, Rejected):
            return form
        url = way.page / "photos"
        answer = await self._graph.prepare(url, way, form, timeout=UPLOAD_TIMEOUT)
        if isinstance(answer, Refusal):
            return answer
        photo = answer.data.get("id")
        if not isinstance(photo, str):
            return Unavailable(reason="the answer names no picture", evidence=answer.evidence)
        return photo

    async def _video(self, message: Message, item: Media, way: Road) -> Refusal | Outcome:
        form = {**way.proof, "file_url": item.url or "", "description": message.text}
        if message.title:
            form["title"] = message.title
        answer = await self._graph.write(way.page / "videos", way, form, timeout=UPLOAD_TIMEOUT)
        ended = _published(answer)
        if isinstance(ended, Refusal):
            return ended
        return Accepted(remote_id=ended.remote_id, evidence=ended.answer.evidence)

    async def _repeated(self, message: Message, way: Road, refusal: Refusal) -> Outcome:
        """Facebook says that it has this already: by an attempt of ours whose answer was lost?"""
        since = self._now() - _REPEAT_WINDOW
        found = await look_for(self._graph, way, message, since=since)
        match found:
            case Delivered():
                return found
            case Finding.ABSENT:
                return refusal.outcome
            case Finding.UNKNOWN:
                said = "Facebook calls this a repeat, and its listing could not be read"
                return Unconfirmed(detail=said, evidence=refusal.outcome.evidence)


@dataclass(frozen=True, slots=True)
class _Published:
    remote_id: str
    url: str | None
    answer: Success


def _published(answer: Success | Refusal) -> _Published | Refusal:
    if isinstance(answer, Refusal):
        return answer
    # A picture answers with its own id and that of the post that shows it.
    remote_id = answer.data.get("post_id") or answer.data.get("id")
    if not isinstance(remote_id, str):
        said = "the answer names no post"
        return Refusal(Unconfirmed(detail=said, evidence=answer.evidence))
    return _Published(remote_id, answer.data.get("permalink_url"), answer)


def _delivered(ended: _Published, settings: FacebookSettings) -> Delivered:
    return Delivered(
        remote_id=ended.remote_id,
        url=ended.url or f"{settings.www_url}/{ended.remote_id}",
        slow_until=ended.answer.slow_until,
        evidence=ended.answer.evidence,
    )


def _changed(answer: Success | Refusal, remote_id: str) -> Outcome:
    if isinstance(answer, Refusal):
        return _no_such_post(answer) if answer.verdict is Verdict.GONE else answer.outcome
    if answer.data.get("success") is not True:
        return Unconfirmed(detail="the answer names no success", evidence=answer.evidence)
    return Delivered(remote_id=remote_id, slow_until=answer.slow_until, evidence=answer.evidence)


def _no_such_post(refusal: Refusal) -> Rejected:
    """The same code that means a vanished page, when it is asked about one post of it."""
    return Rejected(
        problem=Problem(
            code="post-missing",
            detail="Facebook does not know this post, or not for us.",
            remedy="Look at the page: was the post deleted there?",
        ),
        evidence=refusal.outcome.evidence,
    )


def _rejected(code: str, detail: str, field: str = "", remedy: str = "") -> Rejected:
    return Rejected(problem=Problem(code=code, detail=detail, field=field, remedy=remedy))


async def _photo_form(item: Media, fields: dict[str, str]) -> Form | Rejected:
    """A picture with its description: the file if we have it, else its address."""
    if item.alt:
        fields["alt_text_custom"] = item.alt
    if item.path is None:
        return {**fields, "url": item.url or ""}
    try:
        content = await asyncio.to_thread(item.path.read_bytes)
    except FileNotFoundError:
        return _rejected(
            "media-missing", "The picture's file is gone.", "media", "Upload the picture again."
        )
    form = aiohttp.FormData()
    for name, value in fields.items():
        form.add_field(name, value)
    form.add_field("source", content, filename=item.path.name, content_type=item.content_type)
    return form


ADAPTER = FacebookAdapter
