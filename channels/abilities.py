"""What some channels can do beside publishing: each a protocol of its own, so that no method
exists only to raise."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar, Protocol, runtime_checkable

from channels.base import Account, Channel, ChannelSettings, Courier, Recipient
from channels.outcome import (
    AccessLost,
    Outcome,
    Problem,
    RecipientOutcome,
    Unavailable,
)
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
class HasArticles(Channel, Protocol):
    """A channel where each post has a page of its own, whose address is known beforehand: there
    readers of a shortened text read on. `Capabilities.articles` says so."""

    async def address(
        self, message: Message, account: Account[Any], *, key: str, keep: bool
    ) -> str | None:
        """Where `message` will stand once it is sent with `key`, None when nobody can say. `keep`:
        nothing else may get this address from now on; else it is what one would get now."""
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


class Grade(StrEnum):
    """`ERROR`: something does not work. `WARNING`: it works, and will hurt one day."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class DnsRecord:
    """A record to publish, as a registrar's form wants it."""

    name: str
    type: str
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """One finding about an account, in the reader's language. `area`: what it is about; `code`:
    what was found, the same in every language; `remedy` is empty when all is well; `record`: what
    to publish, where that is the remedy."""

    area: str
    code: str
    grade: Grade
    detail: str
    remedy: str = ""
    record: DnsRecord | None = None


@runtime_checkable
class Inspects(Channel, Protocol):
    """A channel whose reach depends on how its owner set up things outside it."""

    async def inspect(
        self, account: Account[Any], *, unsubscribe_url: str, language: str
    ) -> Sequence[Advice]:
        """Look at everything; what could not be learned is a finding too. `unsubscribe_url`: as
        a reader would get it; `language`: `en` or `fr`."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningKey:
    """The key that an account signs with. `record` publishes it; `active`: it is published, and
    used from now on; `changed`: the settings to store, by name, secrets in clear."""

    record: DnsRecord
    active: bool
    changed: Mapping[str, Any] = field(repr=False)


@runtime_checkable
class Signs(Channel, Protocol):
    """A channel whose messages carry a signature that DNS vouches for."""

    async def signing(self, account: Account[Any], *, selector: str) -> SigningKey | Unavailable:
        """The account's key: made when there is none (`selector` names it), put to use once it is
        published. Unavailable: DNS does not answer."""
        ...


@dataclass(frozen=True, slots=True)
class Bookmark:
    """How far a mailbox was read: up to `uid`, as long as its UIDs have this `validity` (RFC 3501,
    section 2.3.1.1)."""

    validity: int
    uid: int


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
        self, account: Account[Any], *, since: Bookmark | None, handled: Sequence[int]
    ) -> Haul | AccessLost | Unavailable:
        """Put away the mails `handled` (UIDs below `since`), then read what came after `since`
        (None: everything), a limited number at a time. Other mails are left as they are."""
        ...


class ReceiptKind(StrEnum):
    """What a platform tells us by itself, after the fact.

    `MESSAGE`: a person wrote to us. `ANSWER`: they tapped a quick reply or a button. `ECHO`: the
    platform repeats what we sent. `DELIVERED`, `READ`: everything up to `at` arrived, was seen.
    `REFUSED`: the person wants no more messages. `CHANGED`, `REMOVED`: something published on
    the page was edited, or taken down (by anyone). `FAILED`: a mail to this address could not be
    delivered, for good. `COMPLAINED`: the person called a mail spam.
    """

    MESSAGE = "message"
    ANSWER = "answer"
    ECHO = "echo"
    DELIVERED = "delivered"
    READ = "read"
    REFUSED = "refused"
    CHANGED = "changed"
    REMOVED = "removed"
    FAILED = "failed"
    COMPLAINED = "complained"


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """One piece of later news. Platforms repeat and reorder them: `id` is the same each time.

    `address` is the person's, as `Recipient.address`. `remote_id` names what the news is about;
    `key` is the one we sent it with, when the platform returns it. `payload` is what we attached
    to the button that was tapped. `writable_until` (UTC): this person may be written to until
    then. `status`: of a failed mail, as RFC 3463 has it. Times are UTC.
    """

    kind: ReceiptKind
    id: str
    at: datetime
    address: str = ""
    remote_id: str | None = None
    key: str = ""
    text: str = ""
    payload: str = ""
    status: str = ""
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
class Rates:
    """Mails a minute: by road (a relay; the first is tried first), and by the addressee's domain
    (`*`: any other). What is not named has no limit."""

    roads: Mapping[str, float] = field(default_factory=dict)
    domains: Mapping[str, float] = field(default_factory=dict)


@runtime_checkable
class Paces(Channel, Protocol):
    """A channel whose owner limits how fast it writes."""

    def rates(self, account: Account[Any]) -> Rates: ...


@runtime_checkable
class OnRoad(Courier, Protocol):
    """A courier that says which road it is on, by its name in `Rates`."""

    @property
    def road(self) -> str: ...


class Crowd(Protocol):
    """Whom a courier writes to in one go. Nothing here waits."""

    def next(self) -> tuple[Recipient, str] | None:
        """One more recipient and their key, None when nobody is at hand."""
        ...

    def leaving(self, recipient: Recipient) -> bool:
        """Call before the first byte of their mail leaves. False: it must not leave any more, and
        nothing is to be said of this recipient again."""
        ...

    def taken(self, recipient: Recipient, code: str) -> None:
        """Their mail was accepted, with this code."""
        ...

    def answered(self, recipient: Recipient, outcome: RecipientOutcome) -> bool:
        """How it ended otherwise; True when the road itself has failed."""
        ...


@runtime_checkable
class Streams(Courier, Protocol):
    """A courier that writes to one after the other without waiting in between."""

    async def stream(self, crowd: Crowd) -> Outcome | None:
        """Write until nobody is at hand; the fault when the road failed before."""
        ...


@runtime_checkable
class ReceivesByAppointment(Receives, Protocol):
    """A channel that has to ask its platform before and after it believes a call back."""

    async def prepare(self, raw_body: bytes, account: Account[Any]) -> None:
        """Have at hand what `verified` needs, from the platform's own address and no other; the
        body is not believed yet."""
        ...

    async def acknowledge(self, raw_body: bytes, account: Account[Any]) -> bool:
        """Answer a verified handshake at the platform; False when it did not take it. True for
        whatever is no handshake."""
        ...
