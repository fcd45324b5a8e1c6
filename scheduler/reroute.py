"""Which fallback account takes a delivery that cannot go where it was meant to. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from enum import StrEnum

from channels.base import Kind


class Mode(StrEnum):
    """How posts take the other road."""

    AT_ONCE = "at-once"
    DIGEST = "digest"
    ASK = "ask"
    NEVER = "never"


# Sound defaults: what matters goes at once; promotion is not worth a place on another channel.
DEFAULT_RULES: Mapping[Kind, Mode] = {
    Kind.ESSENTIAL: Mode.AT_ONCE,
    Kind.ORDINARY: Mode.AT_ONCE,
    Kind.PROMOTIONAL: Mode.NEVER,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One account's plan B: ordered fallback account ids, and how by kind of post."""

    fallbacks: Sequence[str] = ()
    rules: Mapping[Kind, Mode] = field(default_factory=lambda: dict(DEFAULT_RULES))
    note: str = ""


@dataclass(frozen=True, slots=True)
class Taken:
    """This account takes it."""

    account_id: str


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
) -> Choice:
    """The first fallback of the origin's list that can take the post.

    `carried`: accounts with a delivery of this post that went out or still may. `closed`: account
    id -> why it cannot publish now. `refused`: account id -> what of the post it cannot carry, or
    that it failed there already.
    """
    mode = route.rules.get(kind, DEFAULT_RULES[kind])
    if mode is Mode.NEVER:
        return Unplaced(f"{kind.value} posts are not rerouted from here")
    if mode is Mode.ASK:
        return Unplaced("its plan B asks a person first", ask=True)
    passed = []
    for account_id in route.fallbacks:
        if account_id in refused:
            passed.append(f"{account_id}: {refused[account_id]}")
        elif account_id in carried:
            return Covered(account_id)
        elif account_id in closed:
            passed.append(f"{account_id}: {closed[account_id]}")
        else:
            return Taken(account_id)
    return Unplaced("; ".join(passed) or "no fallback is written for this account")
