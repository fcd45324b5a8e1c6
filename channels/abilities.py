"""What some channels can do beside publishing: each a protocol of its own, so that no method
exists only to raise."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar, Protocol, runtime_checkable

from channels.base import Account, Channel, ChannelSettings, Recipient
from channels.outcome import AccessLost, Outcome, Problem, Severity, Unavailable
from channels.posts import Media, Message


@runtime_checkable
class Withdraws(Channel, Protocol):
    """A channel where what was published can be taken back."""

    async def withdraw(self, remote_id: str, account: Account[Any]) -> Outcome:
        """Take it back; Delivered when readers no longer see it. May be repeated without harm:
        after Unconfirmed, or when nobody knows how it ended."""
        ...


@runtime_checkable
class Edits(Channel, Protocol):
    """A channel where the words of what was published can be changed, for its readers too."""

    async def edit(self, message: Message, account: Account[Any], *, remote_id: str) -> Outcome:
        """Replace the words of what was published; pictures and link stay. May be repeated, as
        above."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """A mail as its reader's program shows it. `size`: bytes as sent."""

    subject: str
    sender: str
    recipient: str
    html: str
    text: str
    size: int


@runtime_checkable
class Proofs(Channel, Protocol):
    """A channel that can show beforehand what one person would get."""

    async def proof(
        self, message: Message, account: Account[Any], recipient: Recipient
    ) -> Proof | Problem:
        """Sends nothing."""
        ...


@runtime_checkable
class Archives(Channel, Protocol):
    """A channel to people one by one whose messages can also be read on a page of ours."""

    def heading(self, message: Message) -> str:
        """The message's title with nobody's data."""
        ...

    def page(
        self,
        message: Message,
        *,
        picture: Callable[[Media], str],
        ways: tuple[tuple[str, str], ...],
    ) -> str:
        """A whole HTML page with nobody's data. `picture`: where one that is not on the web is
        served; `ways`: labels and addresses of what a visitor may do."""
        ...

    def linked(
        self,
        message: Message,
        *,
        page_url: str | None,
        redirect: Callable[[str], str] | None,
        by_person: bool = False,
        opens: bool = False,
    ) -> Message:
        """The message with a link to its page, and its links led by `redirect`. `by_person`: each
        with the recipient's `click_query`; `opens`: with the picture of who has an `open_url`."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A page, site or list that an authorisation opens.

    `settings` is what `settings_type` takes, credentials in clear: stored encrypted at once,
    never shown. `tasks`: what the person may do there, in the platform's words. `problem`: why it
    cannot be connected, or what to know before (a warning). `expires_at` (UTC): when the credential
    ends, None if never or unknown.
    """

    remote_id: str
    name: str
    settings: Mapping[str, Any] = field(repr=False)
    tasks: tuple[str, ...] = ()
    problem: Problem | None = None
    expires_at: datetime | None = None

    @property
    def refused(self) -> bool:
        """Whether it cannot be connected."""
        return self.problem is not None and self.problem.severity is Severity.ERROR


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
class HasArticles(Channel, Protocol):
    """A channel where each post has a page of its own, whose address is known beforehand: there
    readers of a shortened text read on. `Capabilities.articles` says so."""

    async def address(
        self, message: Message, account: Account[Any], *, key: str, keep: bool
    ) -> str | None:
        """Where `message` will stand once it is sent with `key`, None when nobody can say. `keep`:
        nothing else may get this address from now on; else it is what one would get now. An empty
        `key`: it has none yet, and what depends on it is crossed out (`xxxx`)."""
        ...


@runtime_checkable
class HasPage(Channel, Protocol):
    """A channel whose accounts have a public page, seen without logging in."""

    def public_url(self, account: Account[Any]) -> str | None:
        """Where visitors see the account, None when it has no such page. 404 and 410 there mean
        that it is hidden; what asks to log in proves nothing."""
        ...


@runtime_checkable
class Counts(Channel, Protocol):
    """A channel that knows how many people follow an account."""

    async def followers(self, account: Account[Any]) -> int | None:
        """How many follow it now, None when the platform does not say. Publishes nothing, and a
        failure says nothing about the account's health."""
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


@dataclass(frozen=True, slots=True)
class Bookmark:
    """How far a mailbox was read: up to `uid`, as long as its UIDs have this `validity` (RFC 3501,
    section 2.3.1.1)."""

    validity: int
    uid: int


# Stores settings that the provider has just replaced, by name, secrets in clear: before anything
# else, as the old ones may be worth nothing from now on.
Keep = Callable[[Mapping[str, Any]], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Haul:
    """Mails that came after a bookmark, by UID, as they are, long ones cut; `bookmark` is behind
    them. `more`: others wait."""

    bookmark: Bookmark
    mails: Mapping[int, bytes]
    more: bool


@runtime_checkable
class Collects(Channel, Protocol):
    """A channel whose bounces and complaints come by mail, to a mailbox of the account."""

    def collects(self, account: Account[Any]) -> bool:
        """Whether this account has a mailbox to read."""
        ...

    async def collect(
        self, account: Account[Any], *, since: Bookmark | None, handled: Sequence[int], keep: Keep
    ) -> Haul | AccessLost | Unavailable:
        """Put away the mails `handled` (UIDs below `since`), then read what came after `since`
        (None: everything), a limited number at a time. Other mails are left as they are. Errors:
        those of `keep`."""
        ...


@runtime_checkable
class Prechecks(Channel, Protocol):
    """A channel that needs more than publishing does: looked at before an account is stored."""

    async def precheck(
        self, account: Account[Any], *, keep: Keep
    ) -> AccessLost | Unavailable | None:
        """Why something beside publishing would not work with these settings; None: all will."""
        ...
