"""LinkedIn organisation pages: publish, find, probe, refresh."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

from channels.abilities import Candidate
from channels.base import Account, Capabilities, ChannelSettings, Tools
from channels.exchange import Answer, NoAnswer
from channels.linkedin import content, little_text, oauth
from channels.linkedin.api import LinkedInSettings, call, encoded, fetch
from channels.linkedin.errors import (
    duplicate_of,
    evidence,
    forbidden_unexplained,
    outcome_of,
)
from channels.linkedin.health import followers_of, probed
from channels.linkedin.images import upload_all
from channels.linkedin.oauth import LinkedInApp
from channels.linkedin.token import refresh_at, refreshed
from channels.outcome import (
    AccessLost,
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
from channels.posts import Message, Part, Post
from channels.steps import Stopped

READ_BACK_TIMEOUT = 10.0
# The finder gives at most 100 a page; so many pages hold a very busy page's day.
LISTED = 100
MAX_PAGES = 10
CLOCK_SLACK = timedelta(minutes=2)
# A duplicate this young is an earlier attempt of ours; an older one is another post.
SAME_POST = timedelta(days=2)
CUT_NOTE = "LinkedIn shows only the beginning of the text"


class LinkedIn:
    """See `channels.base`: `Publishes`; `channels.abilities`: `Edits`, `Withdraws`, `Connects`,
    `Counts` and `Refreshes`."""

    name: ClassVar[str] = "linkedin"
    channel: ClassVar[str] = "linkedin"
    capabilities: ClassVar[Capabilities] = Capabilities(
        text_limit=content.TEXT_LIMIT,
        max_images=content.MAX_IMAGES,
        image_types=content.IMAGE_TYPES,
        image_max_pixels=content.MAX_PIXELS - 1,
        polls=True,
        settles_after=timedelta(minutes=3),
    )
    settings_type: ClassVar[type[ChannelSettings]] = LinkedInSettings
    app_type: ClassVar[type[ChannelSettings]] = LinkedInApp

    def __init__(self, tools: Tools) -> None:
        self._http = tools.http
        self._now = tools.now

    def render(
        self, post: Post, account: Account[LinkedInSettings], part: Part = Part.POST
    ) -> Message:
        return content.rendered(post, part)

    def check(self, message: Message, account: Account[LinkedInSettings]) -> Sequence[Problem]:
        return list(content.problems(message))

    async def send(
        self, message: Message, account: Account[LinkedInSettings], *, key: str
    ) -> Outcome:
        settings = account.settings
        try:
            images = await upload_all(self._http, settings, message.media, self._now())
        except Stopped as stopped:
            return stopped.outcome
        body = content.body(message, settings.author, images)
        answer = await call(self._http, settings, "POST", "posts", writes=True, json_body=body)
        if not isinstance(answer, Answer):
            return answer
        if answer.status == 201:
            return await self._published(answer, body["commentary"], message, settings)
        duplicate = duplicate_of(answer)
        if duplicate is not None:
            return await self._already_there(answer, duplicate, settings)
        if forbidden_unexplained(answer):
            return await self._forbidden(answer, account)
        return outcome_of(answer, writes=True, now=self._now())

    async def _published(
        self, answer: Answer, commentary: str, message: Message, settings: LinkedInSettings
    ) -> Outcome:
        urn = answer.header("x-restli-id")
        if not urn:
            return Unconfirmed(
                detail="LinkedIn answered 201 and named no post", evidence=evidence(answer)
            )
        delivered = Delivered(remote_id=urn, url=settings.permalink(urn), evidence=evidence(answer))
        suspect = settings.read_back == "always" or commentary != message.text
        if settings.read_back == "never" or not suspect:
            return delivered
        return await self._read_back(delivered, message, settings)

    async def _read_back(
        self, delivered: Delivered, message: Message, settings: LinkedInSettings
    ) -> Delivered:
        """The same delivery, with a note when readers do not see the end of the text. A failure to
        look changes nothing: the post is there."""
        answer = await call(
            self._http,
            settings,
            "GET",
            f"posts/{encoded(delivered.remote_id)}",
            timeout=READ_BACK_TIMEOUT,
        )
        if not isinstance(answer, Answer) or answer.status != 200:
            return delivered
        shown = little_text.plain(str(answer.fields.get("commentary", "")))
        if not little_text.cut_short(shown, message.text):
            return delivered
        note = f"{CUT_NOTE}: {len(shown)} of {len(message.text)} characters"
        return Delivered(
            remote_id=delivered.remote_id,
            url=delivered.url,
            note=note,
            evidence=answer.evidence(code="TEXT_CUT", note=note),
        )

    async def _already_there(
        self, refusal: Answer, urn: str, settings: LinkedInSettings
    ) -> Outcome:
        """LinkedIn has this text already. If the post that it names can be read, it is ours."""
        proof = evidence(refusal)
        if not urn:
            return Unconfirmed(
                detail="LinkedIn calls it a duplicate, of what it does not say", evidence=proof
            )
        answer = await call(self._http, settings, "GET", f"posts/{encoded(urn)}")
        if not isinstance(answer, Answer) or answer.status not in {200, 404, 410}:
            return Unconfirmed(detail=f"LinkedIn calls it a duplicate of {urn}", evidence=proof)
        if answer.status == 200 and self._now() - _created(answer.fields) < SAME_POST:
            note = "LinkedIn already had it, from an earlier attempt"
            return Delivered(remote_id=urn, url=settings.permalink(urn), note=note, evidence=proof)
        past = "was published days ago" if answer.status == 200 else "was deleted"
        problem = Problem(
            code="duplicate",
            detail=f"LinkedIn refuses it as a duplicate of {urn}, which {past}.",
            field="body",
            remedy="Change the words.",
        )
        return Rejected(problem=problem, evidence=proof)

    async def _forbidden(self, answer: Answer, account: Account[LinkedInSettings]) -> Outcome:
        """A 403 that names no cause: another try if the page is healthy."""
        health = await self.probe(account)
        if health.status in {HealthStatus.HEALTHY, HealthStatus.DEGRADED}:
            return Unavailable(
                reason="LinkedIn forbade it and the page is healthy", evidence=evidence(answer)
            )
        return outcome_of(answer, writes=True, now=self._now())

    async def find(
        self, message: Message, account: Account[LinkedInSettings], *, key: str, since: datetime
    ) -> Delivered | Finding:
        settings = account.settings
        for page in range(MAX_PAGES):
            # What is published meanwhile pushes ours further back, never past the next page.
            posts = await self._listed(settings, start=page * LISTED)
            if posts is None:
                return Finding.UNKNOWN
            recent = [post for post in posts if _created(post) >= since - CLOCK_SLACK]
            found = _ours(recent, message, settings)
            if found is not None:
                return found
            if len(recent) < LISTED:
                return Finding.ABSENT
        return Finding.UNKNOWN

    async def _listed(
        self, settings: LinkedInSettings, *, start: int
    ) -> list[dict[str, Any]] | None:
        """A page of the organisation's posts, newest first; None when it could not be read."""
        query = (
            f"author={encoded(settings.author)}&q=author&start={start}&count={LISTED}"
            "&sortBy=LAST_MODIFIED"
        )
        try:
            answer = await fetch(
                self._http, settings, f"posts?{query}", self._now(), restli_method="FINDER"
            )
        except Stopped:
            return None
        listed = answer.fields.get("elements")
        if not isinstance(listed, list):
            return None
        return [post for post in listed if isinstance(post, dict)]

    async def edit(
        self, message: Message, account: Account[LinkedInSettings], *, remote_id: str
    ) -> Outcome:
        settings = account.settings
        patch = {"patch": {"$set": {"commentary": little_text.escape(message.text)}}}
        answer = await call(
            self._http,
            settings,
            "POST",
            f"posts/{encoded(remote_id)}",
            writes=True,
            restli_method="PARTIAL_UPDATE",
            json_body=patch,
        )
        return self._changed_post(answer, remote_id, settings)

    async def withdraw(self, remote_id: str, account: Account[LinkedInSettings]) -> Outcome:
        path = f"posts/{encoded(remote_id)}"
        answer = await call(self._http, account.settings, "DELETE", path, writes=True)
        if isinstance(answer, Answer) and answer.status in {404, 410}:
            return Delivered(remote_id=remote_id, evidence=evidence(answer))
        return self._changed_post(answer, remote_id, account.settings)

    def _changed_post(
        self, answer: Answer | NoAnswer, remote_id: str, settings: LinkedInSettings
    ) -> Outcome:
        if not isinstance(answer, Answer):
            return answer
        if answer.status == 204:
            url = settings.permalink(remote_id)
            return Delivered(remote_id=remote_id, url=url, evidence=evidence(answer))
        if answer.status in {404, 410}:
            problem = Problem(code="post-gone", detail="LinkedIn has no such post any more.")
            return Rejected(problem=problem, evidence=evidence(answer))
        return outcome_of(answer, writes=True, now=self._now())

    async def probe(self, account: Account[LinkedInSettings]) -> Health:
        return await probed(self._http, account.settings, self._now())

    async def followers(self, account: Account[LinkedInSettings]) -> int | None:
        return await followers_of(self._http, account.settings)

    def authorize_url(self, app: LinkedInApp, *, redirect_uri: str, state: str) -> str:
        return oauth.authorize_url(app, redirect_uri=redirect_uri, state=state)

    async def exchange(
        self, app: LinkedInApp, *, code: str, redirect_uri: str
    ) -> Sequence[Candidate] | AccessLost | Unavailable:
        return await oauth.exchanged(
            self._http, app, code=code, redirect_uri=redirect_uri, now=self._now()
        )

    def refresh_at(self, account: Account[LinkedInSettings]) -> datetime | None:
        return refresh_at(account.settings)

    async def refresh(
        self, account: Account[LinkedInSettings]
    ) -> Mapping[str, Any] | AccessLost | Unavailable:
        return await refreshed(self._http, account.settings, self._now())


def _created(post: Mapping[str, Any]) -> datetime:
    """When LinkedIn got it: milliseconds since 1970."""
    stamp = post.get("createdAt") or post.get("publishedAt") or 0
    return datetime.fromtimestamp(int(stamp) / 1000, UTC)


ADAPTER = LinkedIn


def _ours(
    posts: Sequence[Mapping[str, Any]], message: Message, settings: LinkedInSettings
) -> Delivered | None:
    """The post among these that says what the message says, whole or cut short."""
    for post in posts:
        said = little_text.plain(str(post.get("commentary", "")))
        cut = bool(said) and little_text.cut_short(said, message.text)
        if post.get("lifecycleState") == "PUBLISHED" and (
            cut or little_text.same(said, message.text)
        ):
            urn = str(post.get("id", ""))
            note = CUT_NOTE if cut else ""
            return Delivered(remote_id=urn, url=settings.permalink(urn), note=note)
    return None
