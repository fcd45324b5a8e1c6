"""Bluesky: publish under a record key of our own, find by it, probe.

`putRecord` with the key that a delivery always has cannot make a second post.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar

from channels.base import Account, Capabilities, ChannelSettings, Tools
from channels.bluesky import content
from channels.bluesky.errors import evidence, name_of, outcome_of, session_expired
from channels.bluesky.session import (
    REFRESH_AHEAD,
    BlueskySettings,
    Session,
    Sessions,
    session_ends,
)
from channels.bluesky.tid import tid_of
from channels.exchange import Answer, NoAnswer, ask
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
    Unavailable,
    Unconfirmed,
)
from channels.posts import Media, Message, Part, Post
from channels.steps import Stopped, picture_bytes, unwell

UPLOAD_TIMEOUT = 120.0


class Bluesky:
    """See `channels.base.Publishes`, `channels.abilities.Withdraws`, `Counts` and
    `Refreshes`. Not `Edits`: Bluesky goes on showing the first version of a record."""

    name: ClassVar[str] = "bluesky"
    channel: ClassVar[str] = "bluesky"
    capabilities: ClassVar[Capabilities] = Capabilities(
        text_limit=content.TEXT_LIMIT,
        text_unit="graphemes",
        max_images=content.MAX_IMAGES,
        image_types=content.IMAGE_TYPES,
        image_max_bytes=content.IMAGE_MAX_BYTES,
        first_comment=True,
        idempotent=True,
    )
    settings_type: ClassVar[type[ChannelSettings]] = BlueskySettings

    def __init__(self, tools: Tools) -> None:
        self._http = tools.http
        self._now = tools.now
        self._sessions = Sessions(tools.http, tools.now)

    def render(
        self, post: Post, account: Account[BlueskySettings], part: Part = Part.POST
    ) -> Message:
        return content.rendered(post, part)

    def check(self, message: Message, account: Account[BlueskySettings]) -> Sequence[Problem]:
        return list(content.problems(message))

    async def send(
        self, message: Message, account: Account[BlueskySettings], *, key: str
    ) -> Outcome:
        settings = account.settings
        try:
            session = await self._sessions.get(settings)
            images = [
                await self._upload(picture, f"media[{place}]", session, settings)
                for place, picture in enumerate(message.media)
            ]
            record = content.record(message, images, self._now())
            if message.reply_to:
                record["reply"] = await self._reply(message.reply_to, session, settings)
        except Stopped as stopped:
            return stopped.outcome
        rkey = tid_of(key)
        body = {
            "repo": session.did,
            "collection": content.COLLECTION,
            "rkey": rkey,
            "record": record,
        }
        method = "com.atproto.repo.putRecord"
        answer = await self._call(session, settings, method, writes=True, json_body=body)
        if not isinstance(answer, Answer):
            return answer
        if answer.status != 200:
            return self._refused(answer, settings, writes=True)
        uri = answer.fields.get("uri")
        if not uri:
            detail = "the answer names no record"
            return Unconfirmed(detail=detail, evidence=evidence(answer))
        url = _public(settings, session.did, rkey)
        return Delivered(remote_id=str(uri), url=url, evidence=evidence(answer))

    async def withdraw(self, remote_id: str, account: Account[BlueskySettings]) -> Outcome:
        """Bluesky answers alike whether the record was there or not."""
        settings = account.settings
        try:
            session = await self._sessions.get(settings)
        except Stopped as stopped:
            return stopped.outcome
        body = content.named(remote_id)
        method = "com.atproto.repo.deleteRecord"
        answer = await self._call(session, settings, method, writes=True, json_body=body)
        if not isinstance(answer, Answer):
            return answer
        if answer.status != 200:
            return self._refused(answer, settings, writes=True)
        return Delivered(remote_id=remote_id, evidence=evidence(answer))

    async def find(
        self, message: Message, account: Account[BlueskySettings], *, key: str, since: datetime
    ) -> Delivered | Finding:
        settings, rkey = account.settings, tid_of(key)
        try:
            session = await self._sessions.get(settings)
        except Stopped:
            return Finding.UNKNOWN
        uri = f"at://{session.did}/{content.COLLECTION}/{rkey}"
        answer = await self._record(uri, session, settings)
        if not isinstance(answer, Answer):
            return Finding.UNKNOWN
        if name_of(answer) == "RecordNotFound":
            return Finding.ABSENT
        if answer.status != 200 or answer.fields.get("uri") != uri:
            self._refused(answer, settings, writes=False)
            return Finding.UNKNOWN
        return Delivered(remote_id=uri, url=_public(settings, session.did, rkey))

    async def probe(self, account: Account[BlueskySettings]) -> Health:
        """First as everybody: an account that is not there for the public is gone, whatever its
        credential is worth. Then as ourselves."""
        settings = account.settings
        repo = {"repo": settings.did or settings.identifier}
        try:
            url = f"{settings.service}/xrpc/com.atproto.repo.describeRepo"
            self._read(
                await ask(
                    self._http, "GET", url, writes=False, secrets=settings.secrets, params=repo
                ),
                settings,
            )
            session = await self._sessions.get(settings)
            method = "com.atproto.server.getSession"
            mine = self._read(await self._call(session, settings, method), settings)
        except Stopped as stopped:
            return unwell(stopped.outcome)
        if mine.fields.get("did") != session.did:
            outcome = Unavailable(reason="no session in the answer", evidence=evidence(mine))
            return unwell(outcome)
        if mine.fields.get("active") is False:
            return Health(
                status=HealthStatus.ACCESS_LOST,
                reason=AccessReason.POLICY,
                detail=f"the account is {mine.fields.get('status', 'not active')}",
                remedy="Open Bluesky as this account and follow what it asks.",
                evidence=evidence(mine),
            )
        handle = str(mine.fields.get("handle", ""))
        return Health(status=HealthStatus.HEALTHY, detail=f"@{handle}", evidence=evidence(mine))

    async def followers(self, account: Account[BlueskySettings]) -> int | None:
        """The account's own server asks Bluesky for it."""
        settings = account.settings
        try:
            session = await self._sessions.get(settings)
        except Stopped:
            return None
        method = "app.bsky.actor.getProfile"
        answer = await self._call(session, settings, method, params={"actor": session.did})
        said = answer.fields.get("followersCount") if isinstance(answer, Answer) else None
        return said if isinstance(said, int) else None

    def refresh_at(self, account: Account[BlueskySettings]) -> datetime | None:
        return session_ends(account.settings) - REFRESH_AHEAD

    async def refresh(
        self, account: Account[BlueskySettings]
    ) -> Mapping[str, Any] | AccessLost | Unavailable:
        try:
            session = await self._sessions.replaced(account.settings)
        except Stopped as stopped:
            if isinstance(stopped.outcome, AccessLost | Unavailable):
                return stopped.outcome
            reason = "the server opens no session now"
            return Unavailable(reason=reason, evidence=stopped.outcome.evidence)
        return {
            "did": session.did,
            "access_jwt": session.access,
            "refresh_jwt": session.refresh,
        }

    async def _call(
        self,
        session: Session,
        settings: BlueskySettings,
        method: str,
        *,
        writes: bool = False,
        **request: Any,
    ) -> Answer | NoAnswer:
        """A POST when there is something to send, else a GET."""
        headers = {"Authorization": f"Bearer {session.access}", **request.pop("headers", {})}
        return await ask(
            self._http,
            "POST" if {"json_body", "data"} & request.keys() else "GET",
            f"{settings.service}/xrpc/{method}",
            writes=writes,
            secrets=(*settings.secrets, session.access, session.refresh),
            headers=headers,
            **request,
        )

    def _read(self, answer: Answer | NoAnswer, settings: BlueskySettings) -> Answer:
        """A success of a call that publishes nothing. Error: `Stopped`."""
        if not isinstance(answer, Answer):
            raise Stopped(answer)
        if answer.status != 200:
            raise Stopped(self._refused(answer, settings, writes=False))
        return answer

    def _refused(self, answer: Answer, settings: BlueskySettings, *, writes: bool) -> Outcome:
        if session_expired(answer):
            self._sessions.forget(settings)
        return outcome_of(answer, writes=writes, now=self._now())

    async def _upload(
        self, picture: Media, field: str, session: Session, settings: BlueskySettings
    ) -> Mapping[str, Any]:
        """The blob of a picture. Error: `Stopped`."""
        data = await picture_bytes(picture, field)
        answer = self._read(
            await self._call(
                session,
                settings,
                "com.atproto.repo.uploadBlob",
                data=data,
                headers={"Content-Type": picture.content_type},
                timeout=UPLOAD_TIMEOUT,
            ),
            settings,
        )
        blob = answer.fields.get("blob")
        if not isinstance(blob, dict):
            reason = "the answer names no picture"
            raise Stopped(Unavailable(reason=reason, evidence=evidence(answer)))
        return blob

    async def _reply(
        self, uri: str, session: Session, settings: BlueskySettings
    ) -> dict[str, dict[str, str]]:
        """Where a comment belongs: to a post of ours, which starts its own thread."""
        answer = await self._record(uri, session, settings)
        if isinstance(answer, Answer) and name_of(answer) == "RecordNotFound":
            problem = Problem(code="post-gone", detail="The post is not there.", field="")
            raise Stopped(Rejected(problem=problem, evidence=evidence(answer)))
        parent = {"uri": uri, "cid": str(self._read(answer, settings).fields.get("cid", ""))}
        return {"root": parent, "parent": parent}

    async def _record(
        self, uri: str, session: Session, settings: BlueskySettings
    ) -> Answer | NoAnswer:
        method = "com.atproto.repo.getRecord"
        return await self._call(session, settings, method, params=content.named(uri))


def _public(settings: BlueskySettings, did: str, rkey: str) -> str:
    return f"{settings.public_url}/profile/{did}/post/{rkey}"


ADAPTER = Bluesky
