"""Later news: what platforms tell by calling back, and the channels that listen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol, runtime_checkable

from channels.base import Account, Channel


class ReceiptKind(StrEnum):
    """What a platform tells us by itself, after the fact.

    `MESSAGE`: a person wrote to us. `ANSWER`: they tapped a quick reply or a button. `ECHO`: the
    platform repeats what we sent. `DELIVERED`, `READ`: everything up to `at` arrived, was seen.
    `REFUSED`: the person wants no more messages. `CHANGED`, `REMOVED`: something published on
    the page was edited, or taken down (by anyone). `FAILED`: a mail to this address could not be
    delivered, for good. `ARRIVED`: the reader's own server took one. `COMPLAINED`: the person
    called a mail spam.
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
    ARRIVED = "arrived"
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


@runtime_checkable
class SignsOnce(Receives, Protocol):
    """A channel whose platform may sign something else than the body: a word used once."""

    def once(self, raw_body: bytes, account: Account[Any]) -> str:
        """The word, good for one body alone; empty where the body itself is signed."""
        ...
