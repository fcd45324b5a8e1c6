"""Writing to many without waiting in between, and no faster than their owner says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from channels.base import Account, Channel, Courier, Recipient
from channels.outcome import Outcome, RecipientOutcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """Mails a minute: by road (a relay; the first is tried first), and by the addressee's domain
    (`*`: any other). What is not named has no limit. `first`: the road that is tried first.
    `resend`: who may have got a mail, and nobody can tell, is written to again, with the same
    Message-ID."""

    roads: Mapping[str, float] = field(default_factory=dict)
    domains: Mapping[str, float] = field(default_factory=dict)
    first: str = ""
    resend: bool = False


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
