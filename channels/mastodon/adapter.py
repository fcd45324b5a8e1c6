"""Mastodon: publish with an idempotency key, find, probe.

An instance remembers a key for an hour: a resend within it answers with the first status.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, ClassVar, Literal

import aiohttp
from pydantic import Field, SecretStr

from channels.base import Account, Capabilities, ChannelSettings, Tools
from channels.exchange import Answer, NoAnswer, ask
from channels.mastodon import content
from channels.mastodon.errors import evidence, outcome_of
from channels.outcome import (
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
from channels.steps import Stopped, picture_bytes, unwell

LISTED = 40
UPLOAD_TIMEOUT = 120.0
CLOCK_SLACK = timedelta(minutes=2)
# Seconds between looks at a picture that is being processed.
PATIENCE = (0.2, 0.5, 1.0, 2.0, 4.0, 8.0)


class MastodonSettings(ChannelSettings):
    """One account. `base_url`: its instance. Scopes: `write:statuses`, `write:media`,
    `read:accounts`, `read:statuses`."""

    base_url: Annotated[str, Field(pattern=r"^https?://[^\s?#]+[^\s?#/]$")]
    access_token: SecretStr
    visibility: Literal["public", "unlisted"] = "public"

    @property
    def secrets(self) -> tuple[str, ...]:
        return (self.access_token.get_secret_value(),)


class Mastodon:
    """See `channels.base.Publishes` and `channels.abilities.Edits`, `Withdraws`, `Counts`."""

    name: ClassVar[str] = "mastodon"
    channel: ClassVar[str] = "mastodon"
    capabilities: ClassVar[Capabilities] = Capabilities(
        text_limit=content.TEXT_LIMIT,
        text_unit="graphemes",
        max_images=content.MAX_IMAGES,
        image_types=content.IMAGE_TYPES,
        image_max_bytes=content.IMAGE_MAX_BYTES,
        image_max_pixels=content.IMAGE_MAX_PIXELS,
        polls=True,
        first_comment=True,
        idempotent=True,
        idempotent_for=timedelta(minutes=50),
    )
    settings_type: ClassVar[type[ChannelSettings]] = MastodonSettings

    def __init__(self, tools: Tools) -> None:
        self._http = tools.http
        self._now = tools.now

    def render(
        self, post: Post, account: Account[MastodonSettings], part: Part = Part.POST
    ) -> Message:
        return content.rendered(post, part)

    def check(self, message: Message, account: Account[MastodonSettings]) -> Sequence[Problem]:
        return list(content.problems(message))

    async def send(
        self, message: Message, account: Account[MastodonSettings], *, key: str
    ) -> Outcome:
        settings = account.settings
        try:
            pictures = [
                await self._upload(picture, f"media[{place}]", settings)
                for place, picture in enumerate(message.media)
            ]
        except Stopped as stopped:
            return stopped.outcome
        answer = await self._call(
            settings,
            "POST",
            "v1/statuses",
            writes=True,
            json_body=content.body(message, pictures, settings.visibility),
            headers={"Idempotency-Key": key},
        )
        return self._written(answer)

    async def edit(
        self, message: Message, account: Account[MastodonSettings], *, remote_id: str
    ) -> Outcome:
        path = f"v1/statuses/{remote_id}"
        body = {"status": content.body(message, [], "")["status"]}
        answer = await self._call(account.settings, "PUT", path, writes=True, json_body=body)
        return self._written(answer)

    async def withdraw(self, remote_id: str, account: Account[MastodonSettings]) -> Outcome:
        path = f"v1/statuses/{remote_id}"
        answer = await self._call(account.settings, "DELETE", path, writes=True)
        if isinstance(answer, Answer) and answer.status == 404:
            return Delivered(remote_id=remote_id, evidence=evidence(answer))
        return self._written(answer)

    async def find(
        self, message: Message, account: Account[MastodonSettings], *, key: str, since: datetime
    ) -> Delivered | Finding:
        settings = account.settings
        try:
            me = self._read(await self._call(settings, "GET", "v1/accounts/verify_credentials"))
            path = f"v1/accounts/{me.fields.get('id')}/statuses?limit={LISTED}&exclude_reblogs=true"
            listed = self._read(await self._call(settings, "GET", path)).data
        except Stopped:
            return Finding.UNKNOWN
        if not isinstance(listed, list):
            return Finding.UNKNOWN
        recent = [
            status
            for status in listed
            if isinstance(status, dict) and _created(status) >= since - CLOCK_SLACK
        ]
        for status in recent:
            if content.same(str(status.get("content", "")), message):
                return Delivered(remote_id=str(status.get("id")), url=status.get("url"))
        return Finding.UNKNOWN if len(recent) >= LISTED else Finding.ABSENT

    async def probe(self, account: Account[MastodonSettings]) -> Health:
        answer = await self._call(account.settings, "GET", "v1/accounts/verify_credentials")
        try:
            me = self._read(answer)
        except Stopped as stopped:
            return unwell(stopped.outcome)
        if not me.fields.get("id"):
            detail = "this address does not answer like Mastodon"
            return Health(status=HealthStatus.PLATFORM_DOWN, detail=detail, evidence=evidence(me))
        return Health(
            status=HealthStatus.HEALTHY,
            detail=f"@{me.fields.get('acct', '')}",
            evidence=evidence(me),
        )

    async def followers(self, account: Account[MastodonSettings]) -> int | None:
        answer = await self._call(account.settings, "GET", "v1/accounts/verify_credentials")
        said = answer.fields.get("followers_count") if isinstance(answer, Answer) else None
        return said if isinstance(said, int) else None

    async def _call(
        self,
        settings: MastodonSettings,
        method: str,
        path: str,
        *,
        writes: bool = False,
        headers: dict[str, str] | None = None,
        **request: Any,
    ) -> Answer | NoAnswer:
        token = f"Bearer {settings.access_token.get_secret_value()}"
        return await ask(
            self._http,
            method,
            f"{settings.base_url}/api/{path}",
            writes=writes,
            secrets=settings.secrets,
            headers={"Authorization": token, **(headers or {})},
            **request,
        )

    def _read(self, answer: Answer | NoAnswer) -> Answer:
        """A success of a call that publishes nothing. Error: `Stopped`."""
        if not isinstance(answer, Answer):
            raise Stopped(answer)
        if not 200 <= answer.status < 300:
            raise Stopped(outcome_of(answer, writes=False, now=self._now()))
        return answer

    def _written(self, answer: Answer | NoAnswer) -> Outcome:
        if not isinstance(answer, Answer):
            return answer
        if answer.status != 200:
            return outcome_of(answer, writes=True, now=self._now())
        if not answer.fields.get("id"):
            detail = "the answer names no status"
            return Unconfirmed(detail=detail, evidence=evidence(answer))
        return Delivered(
            remote_id=str(answer.fields["id"]),
            url=answer.fields.get("url"),
            evidence=evidence(answer),
        )

    async def _upload(self, picture: Media, field: str, settings: MastodonSettings) -> str:
        """The id of a picture that is ready to be attached. Error: `Stopped`."""
        form = aiohttp.FormData()
        file = await picture_bytes(picture, field)
        form.add_field("file", file, filename=picture.id, content_type=picture.content_type)
        form.add_field("description", picture.alt)
        answer = await self._call(settings, "POST", "v2/media", form=form, timeout=UPLOAD_TIMEOUT)
        uploaded = self._read(answer)
        media_id = str(uploaded.fields.get("id", ""))
        for pause in PATIENCE:
            if uploaded.status == 200 and media_id:
                return media_id
            await asyncio.sleep(pause)
            uploaded = self._read(await self._call(settings, "GET", f"v1/media/{media_id}"))
        reason = "the instance is still processing the picture"
        raise Stopped(Unavailable(reason=reason, evidence=evidence(uploaded)))


def _created(status: dict[str, Any]) -> datetime:
    try:
        when = datetime.fromisoformat(str(status.get("created_at")))
    except ValueError:
        return datetime.fromtimestamp(0, UTC)
    return when if when.tzinfo else when.replace(tzinfo=UTC)


ADAPTER = Mastodon
