"""What a channel can say of how its owner set up things outside it: advice, and records for DNS."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol, runtime_checkable

from channels.base import Account, Channel
from channels.outcome import Unavailable


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
