"""Which fallback account takes a delivery that cannot go where it was meant to, and how. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from enum import StrEnum

from channels.posts import Kind


class Mode(StrEnum):
    """How posts take the other road."""

    AT_ONCE = "at-once"
    DIGEST = "digest"
    ASK = "ask"
    NEVER = "never"


HOUR = 3_600_000_000  # microseconds

# Sound defaults: what matters goes at once, the rest of the day in one piece; promotion is not
# worth a place on another channel.
DEFAULT_RULES: Mapping[Kind, Mode] = {
    Kind.ESSENTIAL: Mode.AT_ONCE,
    Kind.ORDINARY: Mode.DIGEST,
    Kind.PROMOTIONAL: Mode.NEVER,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One account's plan B: ordered fallback account ids, and how by kind of post.

    `digest_hour`: local hour of the day's digest. `worth_us`: for how long after its time a post
    is worth another road (microseconds). `weekly_mails`: how many mails reroutes may add to one
    list in a calendar week. `last_resort`: accounts of `fallbacks` that are only there so that
    readers find the post at all; its owner is told. `day_us`: how long a day lasts, on practice
    platforms alone (0: as long as days do).
    """

    fallbacks: Sequence[str] = ()
    rules: Mapping[Kind, Mode] = field(default_factory=lambda: dict(DEFAULT_RULES))
    note: str = ""
    digest_hour: int = 18
    worth_us: int = 48 * HOUR
    weekly_mails: int = 7
    last_resort: AbstractSet[str] = frozenset()
    day_us: int = 0

    def mode(self, kind: Kind) -> Mode:
        """How posts of this kind take the other road."""
        return self.rules.get(kind, DEFAULT_RULES[kind])


@dataclass(frozen=True, slots=True)
class Taken:
    """This account takes it: by itself, or in the day's digest."""

    account_id: str
    digest: bool = False


@dataclass(frozen=True, slots=True)
class Covered:
    """This account already carries the same post: noted, not doubled."""

    account_id: str


@dataclass(frozen=True, slots=True)
class Unplaced:
    """No road: why each fallback was passed over, or why the post may not be rerouted."""

    why: str
    ask: bool = False


Choice = Taken | Covered | Unplaced


def choose(
    route: Route,
    kind: Kind,
    *,
    carried: AbstractSet[str],
    closed: Mapping[str, str],
    refused: Mapping[str, str],
    overdue_us: int = 0,
    asked: bool = False,
) -> Choice:
    """The first fallback of the origin's list that can take the post.

    `carried`: accounts with a delivery of this post that went out or still may. `closed`: account
    id -> why it cannot publish now. `refused`: account id -> what of the post it cannot carry, or
    that it failed there already. `overdue_us`: how long ago it was due; `asked`: a person said
    yes, and is not asked again.
    """
    mode = route.mode(kind)
    if asked and mode in {Mode.ASK, Mode.NEVER}:
        mode = Mode.AT_ONCE
    if mode is Mode.NEVER:
        return Unplaced(f"{kind.value} posts are not rerouted from here")
    if mode is Mode.ASK:
        return Unplaced("its plan B asks a person first", ask=True)
    if overdue_us > route.worth_us and not asked:
        return Unplaced(f"it was due more than {route.worth_us // HOUR} hours ago", ask=True)
    passed = []
    for account_id in route.fallbacks:
        if account_id in refused:
            passed.append(f"{account_id}: {refused[account_id]}")
        elif account_id in carried:
            return Covered(account_id)
        elif account_id in closed:
            passed.append(f"{account_id}: {closed[account_id]}")
        else:
            return Taken(account_id, mode is Mode.DIGEST and account_id not in route.last_resort)
    return Unplaced("; ".join(passed) or "no fallback is written for this account")
