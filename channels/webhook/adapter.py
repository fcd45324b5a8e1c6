"""A webhook by the Standard Webhooks rules: one signed JSON event for each post.

`webhook-id` is the delivery's key and the same in each attempt, so that a receiver that keeps to
the rules takes an event once. Private addresses are refused by `HttpClient`. A picture that was
uploaded is lent by an address of ours for some days, where the service has a public one.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, ClassVar

import uuid_utils
from pydantic import Field, SecretStr, field_validator
from standardwebhooks.webhooks import Webhook
from yarl import URL

from channels.base import Account, Capabilities, ChannelSettings, Tools
from channels.exchange import Answer, NoAnswer, ask
from channels.outcome import Delivered, Finding, Health, HealthStatus, Outcome, Problem, Rejected
from channels.posts import Media, Message, Part, Post
from channels.steps import unwell
from channels.webhook import content
from channels.webhook.errors import evidence, outcome_of

MIN_SECRET_BYTES = 24


class WebhookSettings(ChannelSettings):
    """`url`: where events are posted. `secret`: `whsec_` and the base 64 of 24 to 64 bytes."""

    url: Annotated[str, Field(pattern=r"^https?://[^\s#]+$")]
    secret: SecretStr

    @field_validator("secret")
    @classmethod
    def _usable(cls, value: SecretStr) -> SecretStr:
        try:
            encoded = value.get_secret_value().removeprefix("whsec_")
            key = base64.b64decode(encoded, validate=True)
        except ValueError as error:
            raise ValueError("must be whsec_ followed by base 64") from error
        if not MIN_SECRET_BYTES <= len(key) <= 64:
            raise ValueError("must hold 24 to 64 bytes")
        return value

    @property
    def secrets(self) -> tuple[str, ...]:
        """The path too: with many services whoever knows it may post."""
        path = URL(self.url).raw_path
        return (self.secret.get_secret_value(), *([path] if len(path) > 1 else []))


class WebhookChannel:
    """See `channels.base.Publishes`. What became of an event only its receiver knows."""

    name: ClassVar[str] = "webhook"
    channel: ClassVar[str] = "webhook"
    capabilities: ClassVar[Capabilities] = Capabilities(
        text_limit=None,
        title=True,
        html=True,
        max_images=content.MAX_MEDIA,
        image_types=content.IMAGE_TYPES,
        video=True,
        polls=True,
        actions=True,
        first_comment=True,
        idempotent=True,
        findable=False,
    )
    settings_type: ClassVar[type[ChannelSettings]] = WebhookSettings

    def __init__(self, tools: Tools) -> None:
        self._http = tools.http
        self._now = tools.now
        self._lend = tools.lend

    def render(
        self, post: Post, account: Account[WebhookSettings], part: Part = Part.POST
    ) -> Message:
        return content.rendered(post, part)

    def check(self, message: Message, account: Account[WebhookSettings]) -> Sequence[Problem]:
        return list(content.problems(message, lent=self._lend is not None))

    async def send(
        self, message: Message, account: Account[WebhookSettings], *, key: str
    ) -> Outcome:
        now = self._now()
        addresses = [media.url or self._lent(media, now) for media in message.media]
        unreachable = content.unreachable(addresses)
        if unreachable is not None:
            return Rejected(problem=unreachable)
        event = content.event(message, account.id, now, addresses)
        answer = await self._post(event, account.settings, key, now, writes=True)
        if not isinstance(answer, Answer):
            return answer
        if not 200 <= answer.status < 300:
            return outcome_of(answer, writes=True, now=now)
        url = answer.fields.get("url")
        return Delivered(
            remote_id=str(answer.fields.get("id") or key),
            url=url if isinstance(url, str) and url.startswith(("http://", "https://")) else None,
            evidence=evidence(answer),
        )

    def _lent(self, media: Media, now: datetime) -> str | None:
        return None if self._lend is None else self._lend(media, now)

    async def find(
        self, message: Message, account: Account[WebhookSettings], *, key: str, since: datetime
    ) -> Delivered | Finding:
        """There is nowhere to look; the same id again is safe."""
        return Finding.UNKNOWN

    async def probe(self, account: Account[WebhookSettings]) -> Health:
        """A signed `ping`, which publishes nothing."""
        now = self._now()
        event = {"type": "ping", "timestamp": now.isoformat(), "data": {}}
        ping = f"ping_{uuid_utils.uuid7()}"
        answer = await self._post(event, account.settings, ping, now, writes=False)
        if not isinstance(answer, Answer):
            return unwell(answer)
        if not 200 <= answer.status < 300:
            return unwell(outcome_of(answer, writes=False, now=now))
        return Health(status=HealthStatus.HEALTHY, evidence=evidence(answer))

    async def _post(
        self,
        event: Mapping[str, Any],
        settings: WebhookSettings,
        message_id: str,
        now: datetime,
        *,
        writes: bool,
    ) -> Answer | NoAnswer:
        body = json.dumps(event, ensure_ascii=False, separators=(",", ":"))
        signer = Webhook(settings.secret.get_secret_value())
        headers = {
            "Content-Type": "application/json",
            "webhook-id": message_id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": signer.sign(message_id, now, body),
        }
        return await ask(
            self._http,
            "POST",
            settings.url,
            writes=writes,
            secrets=settings.secrets,
            headers=headers,
            data=body.encode(),
        )


ADAPTER = WebhookChannel
