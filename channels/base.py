"""What a channel is: the data it gets, the promises it makes.

An adapter knows its platform and nothing else: no queue, no database, no clock but the one it is
given. What it cannot do it does not declare: optional abilities are protocols of their own, so
no method exists only to raise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import blake2b
from types import MappingProxyType
from typing import (
    TYPE_CHECKING,
    Any,
    ClassVar,
    Generic,
    Literal,
    NamedTuple,
    Protocol,
    TypeVar,
    runtime_checkable,
)

from pydantic import BaseModel, ConfigDict

from channels.outcome import (
    Delivered,
    Finding,
    Health,
    Outcome,
    Problem,
    RecipientOutcome,
)
from channels.posts import Media, Message, Part, Post

if TYPE_CHECKING:
    from channels.http import HttpClient


class ChannelSettings(BaseModel):
    """What connects one account. Fields of type `SecretStr` are credentials: stored encrypted,
    never shown. Everything else is plain and shown to the owner. `page_fields`: those that name
    the page, where a second account of it would publish everything there twice."""

    # Input that is refused may hold a credential in the wrong place: no error repeats it.
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    page_fields: ClassVar[tuple[str, ...]] = ()


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
    addresses: their mail, or the one they have with this account. `articles`: each post has a page
    of its own there, which other channels may point to (needs `HasArticles`). `idempotent`: a
    resend with the same key is refused or ignored by the platform, for `idempotent_for` (None:
    for ever).
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
    articles: bool = False
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
    blog's store; only that adapter uses it. `dns_server`: whom to ask, `address` or
    `address:port`; empty: the system's. `lend`: where a picture can be fetched for some days from
    a moment on, None when it is not there; no function at all without a public address."""

    http: HttpClient
    now: Callable[[], datetime]
    site: SiteStore | None = None
    dns_server: str = ""
    lend: Callable[[Media, datetime], str | None] | None = None


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


def letter_number(key: str) -> str:
    """What a mail with this key is called before the @ of its Message-ID: says nothing to others,
    and to us whose it is."""
    return blake2b(key.encode(), digest_size=16).hexdigest()


class Recipient(NamedTuple):
    """One addressee of a broadcast. `id` is ours and stable; `unsubscribe_url` is theirs alone;
    `return_tag`, letters and digits, names them in the address that bounces come back to. Of who
    agreed to that: `click_query` is added to links that lead by us, `open_url` is a picture's."""

    id: str
    address: str
    name: str = ""
    language: str = ""
    attributes: Mapping[str, str] = MappingProxyType({})
    unsubscribe_url: str = ""
    return_tag: str = ""
    click_query: str = ""
    open_url: str = ""


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

    async def address(self, key: str, slug: str, *, keep: bool) -> str:
        """The path that the page with this key has, or will get if it is called `slug`; `keep` it
        for this page."""
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
