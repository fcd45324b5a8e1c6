"""What a channel is: the data it gets, the promises it makes.

An adapter knows its platform and nothing else: no queue, no database, no clock but the one it is
given. What it cannot do it does not declare: optional abilities are protocols of their own, so
no method exists only to raise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import (
    TYPE_CHECKING,
    Any,
    ClassVar,
    Generic,
    Literal,
    Protocol,
    TypeVar,
    runtime_checkable,
)

from pydantic import BaseModel, ConfigDict

from channels.outcome import (
    AccessLost,
    Delivered,
    Finding,
    Health,
    Outcome,
    Problem,
    RecipientOutcome,
    Unavailable,
)

if TYPE_CHECKING:
    from channels.http import HttpClient


class Kind(StrEnum):
    """How much a post matters; plan B treats each differently."""

    ESSENTIAL = "essential"
    ORDINARY = "ordinary"
    PROMOTIONAL = "promotional"


@dataclass(frozen=True, slots=True, kw_only=True)
class Media:
    """A picture or video of a post: bytes on disk, or a public URL, or both."""

    id: str
    content_type: str
    alt: str = ""
    path: Path | None = None
    url: str | None = None
    width: int | None = None
    height: int | None = None
    size: int | None = None
    sha256: str = ""

    @property
    def is_image(self) -> bool:
        return self.content_type.startswith("image/")


@dataclass(frozen=True, slots=True, kw_only=True)
class Poll:
    """A question with two to four answers; `days` it stays open."""

    question: str
    options: tuple[str, ...]
    days: int = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """A button or quick reply: a label and where it leads (None: a plain answer)."""

    label: str
    url: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """What the author wants said differently on one channel; None keeps the post's own."""

    title: str | None = None
    body: str | None = None
    link: str | None = None
    media: tuple[Media, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reroute:
    """Why a post takes another road than planned, for the words that say so."""

    from_channel: str
    from_name: str
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Post:
    """What is to be said. `body` is Markdown; `language` a BCP 47 tag; `due_at` is UTC.

    `blog_url` is the post's page on the blog when there is one: where truncated texts point to.
    `campaign_tags`: add UTM parameters to our own links, those to `own_hosts` and to the blog.
    `rerouted` is set on a plan B delivery.
    """

    id: str
    title: str = ""
    body: str = ""
    summary: str = ""
    link: str | None = None
    media: tuple[Media, ...] = ()
    kind: Kind = Kind.ORDINARY
    language: str = "en"
    tags: tuple[str, ...] = ()
    poll: Poll | None = None
    actions: tuple[Action, ...] = ()
    first_comment: str = ""
    variants: Mapping[str, Variant] = field(default_factory=dict)
    due_at: datetime | None = None
    blog_url: str | None = None
    campaign_tags: bool = True
    own_hosts: tuple[str, ...] = ()
    rerouted: Reroute | None = None

    def for_channel(self, channel: str) -> Post:
        """This post with the author's variant for `channel` applied."""
        variant = self.variants.get(channel)
        if variant is None:
            return self
        return replace(
            self,
            title=self.title if variant.title is None else variant.title,
            body=self.body if variant.body is None else variant.body,
            link=self.link if variant.link is None else variant.link,
            media=self.media if variant.media is None else variant.media,
        )


class Part(StrEnum):
    """What of a post one delivery carries. A comment is a delivery of its own, so that its
    failure can never publish the post again."""

    POST = "post"
    FIRST_COMMENT = "first-comment"
    CORRECTION = "correction"
    DIGEST = "digest"
    CATCH_UP = "catch-up"


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A post rendered for one channel: exactly what will be sent, as the preview shows it.

    `text` counts within the channel's limit. `options` is what only this channel understands
    (plain JSON values). `reply_to` is the remote id that a first comment belongs to.
    """

    post_id: str
    text: str
    title: str = ""
    html: str = ""
    summary: str = ""
    slug: str = ""
    link: str | None = None
    media: tuple[Media, ...] = ()
    language: str = "en"
    tags: tuple[str, ...] = ()
    part: Part = Part.POST
    reply_to: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


class ChannelSettings(BaseModel):
    """What connects one account. Fields of type `SecretStr` are credentials: stored encrypted,
    never shown. Everything else is plain and shown to the owner."""

    # Input that is refused may hold a credential in the wrong place: no error repeats it.
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


S = TypeVar("S", bound=ChannelSettings)


@dataclass(frozen=True, slots=True, kw_only=True)
class Account(Generic[S]):
    """One connected page, site or list, as an adapter sees it."""

    id: str
    name: str
    settings: S


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What a channel can carry: data for planning, plan B and the table in channels/README.md.

    `text_limit` counts in `text_unit`. `addressed`: goes to contacts one by one (needs
    `Broadcasts`), else to a page that everyone sees; `address` says at which of a contact's
    addresses: their mail, or the one they have with this account. `idempotent`: a resend with the
    same key is refused or ignored by the platform, for `idempotent_for` (None: for ever).
    `findable`: `find` can prove that a post is absent. `clickable_links`: a bare URL in the text
    becomes a link. `image_max_pixels`: width by height. `settles_after`: for how long after a
    write the platform's own listing may still miss it, so that ABSENT is not yet proof.
    """

    text_limit: int | None
    text_unit: Literal["characters", "utf16", "graphemes", "bytes"] = "characters"
    title: bool = False
    html: bool = False
    clickable_links: bool = True
    max_images: int = 0
    image_types: frozenset[str] = frozenset()
    image_max_bytes: int | None = None
    image_max_pixels: int | None = None
    video: bool = False
    polls: bool = False
    actions: bool = False
    first_comment: bool = False
    addressed: bool = False
    address: Literal["email", "account"] = "account"
    idempotent: bool = False
    idempotent_for: timedelta | None = None
    findable: bool = True
    settles_after: timedelta = timedelta(0)

    def forgives_resend(self, age: timedelta) -> bool:
        """Whether the platform still knows the key of a write that is so old."""
        return self.idempotent and (self.idempotent_for is None or age < self.idempotent_for)


@dataclass(frozen=True, slots=True)
class Tools:
    """What every adapter is given. `now` returns an aware UTC datetime. `site` is the built-in
    blog's store; only that adapter uses it."""

    http: HttpClient
    now: Callable[[], datetime]
    site: SiteStore | None = None


class Channel(Protocol):
    """The promises of every adapter.

    `name` is the adapter's name and its folder's dotted path below `channels`
    (`facebook`, `blog.wordpress`); `channel` the kind of platform that people see (`blog`).
    """

    name: ClassVar[str]
    channel: ClassVar[str]
    capabilities: ClassVar[Capabilities]
    settings_type: ClassVar[type[ChannelSettings]]

    def render(self, post: Post, account: Account[Any], part: Part = Part.POST) -> Message:
        """What will be sent: pure, within the channel's limits, variants applied."""
        ...

    def check(self, message: Message, account: Account[Any]) -> Sequence[Problem]:
        """What this platform cannot carry as it stands: pure, empty when all is well."""
        ...

    async def probe(self, account: Account[Any]) -> Health:
        """Look at the account with its credentials; never raises for a platform's failure."""
        ...


@runtime_checkable
class Publishes(Channel, Protocol):
    """A channel with one place that everyone sees."""

    async def send(self, message: Message, account: Account[Any], *, key: str) -> Outcome:
        """Write once; never retries a write. `key` is the same across the delivery's attempts."""
        ...

    async def find(
        self, message: Message, account: Account[Any], *, key: str, since: datetime
    ) -> Delivered | Finding:
        """Look for what may have been written at or after `since` (UTC)."""
        ...


@runtime_checkable
class Withdraws(Channel, Protocol):
    """A channel where what was published can be changed or taken back.

    Both may be repeated without harm: after Unconfirmed, or when nobody knows how it ended.
    """

    async def edit(self, message: Message, account: Account[Any], *, remote_id: str) -> Outcome:
        """Replace the words of what was published; pictures and link stay."""
        ...

    async def withdraw(self, remote_id: str, account: Account[Any]) -> Outcome:
        """Take it back; Delivered when readers no longer see it."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A page, site or list that an authorisation opens.

    `settings` is what `settings_type` takes, credentials in clear: stored encrypted at once,
    never shown. `tasks`: what the person may do there, in the platform's words. `problem`: why it
    cannot be connected, None when it can. `expires_at` (UTC): when the credential ends, None if
    never or unknown.
    """

    remote_id: str
    name: str
    settings: Mapping[str, Any] = field(repr=False)
    tasks: tuple[str, ...] = ()
    problem: Problem | None = None
    expires_at: datetime | None = None


@runtime_checkable
class Connects(Channel, Protocol):
    """A channel whose accounts are connected in the browser (OAuth 2, authorisation code).

    `app_type` is what has to be known of our own application there. The caller makes `state`,
    checks it when the browser comes back, and reads `error` before there is a code.
    """

    app_type: ClassVar[type[ChannelSettings]]

    def authorize_url(self, app: Any, *, redirect_uri: str, state: str) -> str:
        """Where to send the browser; `app` is an instance of `app_type`."""
        ...

    async def exchange(
        self, app: Any, *, code: str, redirect_uri: str
    ) -> Sequence[Candidate] | AccessLost | Unavailable:
        """What the code opens. A code is worth one call: after Unavailable, begin again."""
        ...


@runtime_checkable
class HasPage(Channel, Protocol):
    """A channel whose accounts have a public page, seen without logging in."""

    def public_url(self, account: Account[Any]) -> str | None:
        """Where visitors see the account, None when it has no such page. 404 and 410 there mean
        that it is hidden; what asks to log in proves nothing."""
        ...


@runtime_checkable
class Refreshes(Channel, Protocol):
    """A channel whose credential is renewed without a person."""

    def refresh_at(self, account: Account[Any]) -> datetime | None:
        """When to renew it (UTC): well before it ends, and in the past when nobody knows when it
        does. None: what is needed for that is not there."""
        ...

    async def refresh(self, account: Account[Any]) -> Mapping[str, Any] | AccessLost | Unavailable:
        """The settings that change, by name, as `settings_type` takes them (secrets in clear).

        A field that is not in the answer keeps its value. `AccessLost`: a person has to connect
        the account again; `Unavailable`: try later.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipient:
    """One addressee of a broadcast. `id` is ours and stable; `unsubscribe_url` is theirs alone;
    `return_tag`, letters and digits, names them in the address that bounces come back to."""

    id: str
    address: str
    name: str = ""
    language: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)
    unsubscribe_url: str = ""
    return_tag: str = ""


class Courier(Protocol):
    """An open road to many recipients: one rendered message, one call a person."""

    async def send(self, recipient: Recipient, *, key: str) -> RecipientOutcome:
        """Write to one person, once. `key` is stable for this person and delivery."""
        ...

    async def close(self) -> None: ...


@runtime_checkable
class FindsRecipient(Courier, Protocol):
    """A courier that can look whether one person was written to."""

    async def find(self, recipient: Recipient, *, key: str, since: datetime) -> Delivered | Finding:
        """Look for what may have reached this person at or after `since` (UTC)."""
        ...


@runtime_checkable
class Broadcasts(Channel, Protocol):
    """A channel that writes to contacts one by one."""

    async def open(self, message: Message, account: Account[Any]) -> Courier | Outcome:
        """A courier, or why none can be had (never Delivered)."""
        ...


class ReceiptKind(StrEnum):
    """What a platform tells us by itself, after the fact.

    `MESSAGE`: a person wrote to us. `ANSWER`: they tapped a quick reply or a button. `ECHO`: the
    platform repeats what we sent. `DELIVERED`, `READ`: everything up to `at` arrived, was seen.
    `REFUSED`: the person wants no more messages. `CHANGED`, `REMOVED`: something published on
    the page was edited, or taken down (by anyone).
    """

    MESSAGE = "message"
    ANSWER = "answer"
    ECHO = "echo"
    DELIVERED = "delivered"
    READ = "read"
    REFUSED = "refused"
    CHANGED = "changed"
    REMOVED = "removed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """One piece of later news. Platforms repeat and reorder them: `id` is the same each time.

    `address` is the person's, as `Recipient.address`. `remote_id` names what the news is about;
    `key` is the one we sent it with, when the platform returns it. `payload` is what we attached
    to the button that was tapped. `writable_until` (UTC): this person may be written to until
    then. Times are UTC.
    """

    kind: ReceiptKind
    id: str
    at: datetime
    address: str = ""
    remote_id: str | None = None
    key: str = ""
    text: str = ""
    payload: str = ""
    writable_until: datetime | None = None


@runtime_checkable
class Receives(Channel, Protocol):
    """A channel whose platform calls us back. Pure: the web layer owns the socket.

    A request is answered only after `verified`; then its receipts are stored, and acknowledged at
    once: platforms drop a receiver that is slow or failing.
    """

    def challenge(self, query: Mapping[str, str], account: Account[Any]) -> str | None:
        """What to answer to the platform's handshake; None: not for this account, refuse."""
        ...

    def verified(self, headers: Mapping[str, str], raw_body: bytes, account: Account[Any]) -> bool:
        """Whether the platform signed these very bytes (compared in constant time)."""
        ...

    def receipts(self, raw_body: bytes, account: Account[Any]) -> Sequence[Receipt]:
        """What a verified body says about this account; empty when it is about others."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A page of the built-in blog. `html` is sanitised; `key` makes a second publish harmless."""

    key: str
    account_id: str
    post_id: str
    slug: str
    title: str
    html: str
    summary: str
    language: str
    tags: tuple[str, ...] = ()
    media: tuple[Media, ...] = ()
    published_at: datetime


class SiteStore(Protocol):
    """Where the built-in blog keeps its pages; implemented by `scheduler.store.pages`."""

    async def publish(self, page: Page) -> str:
        """Store the page (or find it already stored under its key); its path, `/blog/…`."""
        ...

    async def find(self, key: str) -> str | None:
        """The path of the page with this key, None if there is none."""
        ...

    async def edit(self, key: str, *, title: str, html: str, summary: str) -> str | None:
        """Replace the words of the page with this key; its path, None if there is none."""
        ...

    async def withdraw(self, key: str) -> bool:
        """Take the page with this key down; False if there is none, or it already was."""
        ...
