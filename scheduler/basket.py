"""The basket: how much hangs on each account. Pure.

The concentration index is Herfindahl's: the sum of squared shares, 1 when everything hangs on one
account, 1/n when n share alike.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from typing_extensions import TypedDict


@dataclass(frozen=True, slots=True, kw_only=True)
class Egg:
    """One account. `audience`: people, None when nobody knows; `delivered`: in the last 90 days;
    `waiting`: scheduled there; `saved`: of these, how many plan B would carry elsewhere."""

    account_id: str
    name: str
    channel: str
    audience: int | None
    delivered: int
    waiting: int
    saved: int


class EggAnswer(TypedDict):
    """One account's part. Shares are between 0 and 1, null when nothing is known."""

    account_id: str
    account: str
    channel: str
    audience: int | None
    audience_share: float | None
    delivered: int
    delivered_share: float | None
    waiting: int
    saved: int


class Stranded(TypedDict):
    """A post with no other road than its own."""

    post_id: str
    title: str
    account: str
    due_at: str
    why: str


class TrendPoint(TypedDict):
    """One day."""

    day: str
    audience_index: float | None
    delivered_index: float | None
    stranded: int


class BasketReport(TypedDict):
    """`audience_index`, `delivered_index`: concentration, 0 to 1 (null: nothing is known).
    `unknown`: accounts whose audience nobody knows. `saved`: of the `waiting` deliveries, how many
    plan B would carry elsewhere if their account vanished."""

    accounts: list[EggAnswer]
    audience_index: float | None
    delivered_index: float | None
    unknown: list[str]
    waiting: int
    saved: int
    stranded: list[Stranded]


def report(eggs: Sequence[Egg], stranded: Sequence[Stranded]) -> BasketReport:
    """All eggs, the heaviest first."""
    audiences = {egg.account_id: egg.audience for egg in eggs if egg.audience is not None}
    delivered = {egg.account_id: egg.delivered for egg in eggs}
    of_audience, of_delivered = shares(audiences), shares(delivered)
    answers: list[EggAnswer] = [
        {
            "account_id": egg.account_id,
            "account": egg.name,
            "channel": egg.channel,
            "audience": egg.audience,
            "audience_share": of_audience.get(egg.account_id),
            "delivered": egg.delivered,
            "delivered_share": of_delivered.get(egg.account_id),
            "waiting": egg.waiting,
            "saved": egg.saved,
        }
        for egg in eggs
    ]
    answers.sort(key=lambda one: (-(one["audience"] or 0), -one["delivered"], one["account"]))
    return {
        "accounts": answers,
        "audience_index": concentration(of_audience),
        "delivered_index": concentration(of_delivered),
        "unknown": [egg.name for egg in eggs if egg.audience is None],
        "waiting": sum(egg.waiting for egg in eggs),
        "saved": sum(egg.saved for egg in eggs),
        "stranded": list(stranded),
    }


def shares(amounts: Mapping[str, int]) -> dict[str, float]:
    """Each one's part of the whole; empty when the whole is nothing."""
    whole = sum(amounts.values())
    return {name: amount / whole for name, amount in amounts.items()} if whole else {}


def concentration(parts: Mapping[str, float]) -> float | None:
    """Herfindahl's index, None of nothing."""
    return sum(part * part for part in parts.values()) if parts else None
