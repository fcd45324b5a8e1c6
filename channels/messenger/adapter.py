"""Messenger: one message from a page to each person who may be written to.

A person may be written to within 24 hours of their last message. Who cannot is `Unreachable`: the
others still get theirs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, ClassVar

from pydantic import SecretStr
from yarl import URL

from channels.abilities import Candidate
from channels.base import Account, Capabilities, ChannelSettings, Courier, Recipient, Tools
from channels.facebook import oauth, signature
from channels.facebook.errors import Verdict
from channels.facebook.graph import Graph, GraphSettings, Refusal, Road
from channels.facebook.oauth import GraphApp
from channels.facebook.probe import probe_page
from channels.messenger.conversation import look_for
from channels.messenger.errors import MESSENGER
from channels.messenger.render import TEXT_LIMIT, content, problems, rendered
from channels.messenger.webhook import receipts_in
from channels.outcome import (
    AccessLost,
    Delivered,
    Finding,
    Health,
    HealthStatus,
    Outcome,
    Problem,
    RecipientOutcome,
    Unavailable,
    Unconfirmed,
    Unreachable,
)
from channels.posts import Message, Part, Post
from channels.receipts import Receipt

TASKS = frozenset({"MESSAGING", "MODERATE", "MANAGE"})
SCOPES = frozenset({"pages_messaging"})
METADATA_LIMIT = 1000


class MessengerSettings(GraphSettings):
    """One page's inbox. `verify_token`: agreed with Meta when the webhook is set up; without it
    and the app secret no webhook is accepted."""

    verify_token: SecretStr | None = None


class MessengerAdapter:
    """See `channels.base`: `Broadcasts`, `Receives` and `Connects`."""

    name: ClassVar[str] = "messenger"
    channel: ClassVar[str] = "messenger"
    settings_type: ClassVar[type[ChannelSettings]] = MessengerSettings
    app_type: ClassVar[type[ChannelSettings]] = GraphApp
    capabilities: ClassVar[Capabilities] = Capabilities(
        text_limit=TEXT_LIMIT,
        text_unit="utf16",
        polls=True,
        actions=True,
        addressed=True,
        settles_after=timedelta(minutes=1),
    )

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._pages = Graph(tools)
        self._people = Graph(tools, MESSENGER)

    def render(self, post: Post, account: Account[Any], part: Part = Part.POST) -> Message:
        return rendered(post.for_channel(self.channel), part)

    def check(self, message: Message, account: Account[Any]) -> Sequence[Problem]:
        return problems(message)

    async def open(self, message: Message, account: Account[Any]) -> Courier | Outcome:
        """Knocks once, so that a dead token costs one call and not one for each person."""
        way = account.settings.road
        knock = await self._pages.read(way.page.with_query(fields="id"), way)
        if isinstance(knock, Refusal):
            return knock.outcome
        return MessengerCourier(self._people, way, message)

    def authorize_url(self, app: GraphApp, *, redirect_uri: str, state: str) -> str:
        return oauth.authorize_url(app, scopes=SCOPES, redirect_uri=redirect_uri, state=state)

    async def exchange(
        self, app: GraphApp, *, code: str, redirect_uri: str
    ) -> Sequence[Candidate] | AccessLost | Unavailable:
        return await oauth.exchange(
            self._tools, app, code=code, redirect_uri=redirect_uri, scopes=SCOPES, tasks=TASKS
        )

    async def probe(self, account: Account[Any]) -> Health:
        way = account.settings.road
        health = await probe_page(self._pages, way, scopes=SCOPES)
        if health.status is not HealthStatus.HEALTHY:
            return health
        apps = await self._pages.read(way.page / "subscribed_apps", way)
        if isinstance(apps, Refusal) or apps.data.get("data"):
            return health
        return Health(
            status=HealthStatus.DEGRADED,
            detail="no app receives this page's messages: nobody's 24 hours can begin",
            remedy="Subscribe the page to the app's webhook, field “messages”.",
            expires_at=health.expires_at,
            evidence=apps.evidence,
        )

    def challenge(self, query: Mapping[str, str], account: Account[Any]) -> str | None:
        return signature.challenge(query, account.settings.verify_token)

    def verified(self, headers: Mapping[str, str], raw_body: bytes, account: Account[Any]) -> bool:
        return signature.verified(headers, raw_body, account.settings.app_secret)

    def receipts(self, raw_body: bytes, account: Account[Any]) -> Sequence[Receipt]:
        return receipts_in(raw_body, account.settings.page_id)


class MessengerCourier:
    """One rendered message, one call a person. See `channels.base.FindsRecipient`."""

    def __init__(self, graph: Graph, way: Road, message: Message) -> None:
        self._graph = graph
        self._way = way
        self._text = message.text
        self._content = content(message)
        self._url: URL = way.page / "messages"

    async def send(self, recipient: Recipient, *, key: str) -> RecipientOutcome:
        form = {
            **self._way.proof,
            "recipient": json.dumps({"id": recipient.address}),
            "messaging_type": "UPDATE",
            # Comes back in the echo webhook: how a lost answer is recognised.
            "message": json.dumps({**self._content, "metadata": key[:METADATA_LIMIT]}),
        }
        answer = await self._graph.write(self._url, self._way, form)
        if isinstance(answer, Refusal):
            return _read(answer)
        message_id = answer.data.get("message_id")
        if not isinstance(message_id, str):
            return Unconfirmed(detail="the answer names no message", evidence=answer.evidence)
        return Delivered(
            remote_id=message_id, slow_until=answer.slow_until, evidence=answer.evidence
        )

    async def find(
        self,
        recipient: Recipient,
        *,
        key: str,
        since: datetime,
    ) -> Delivered | Finding:
        return await look_for(
            self._graph, self._way, recipient.address, text=self._text, since=since
        )

    async def close(self) -> None:
        """Nothing is held open."""


def _read(refusal: Refusal) -> RecipientOutcome:
    rule = refusal.rule
    if rule is None or rule.verdict is not Verdict.UNREACHABLE:
        return refusal.outcome
    return Unreachable(
        detail=rule.detail, permanent=rule.permanent, evidence=refusal.outcome.evidence
    )


ADAPTER = MessengerAdapter
