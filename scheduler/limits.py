"""What an outcome says about the whole account: slow down, pause, ask a person. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import assert_never

from channels.outcome import (
    Accepted,
    AccessLost,
    AccessReason,
    Delivered,
    Gone,
    HealthStatus,
    Outcome,
    Rejected,
    Throttled,
    Unavailable,
    Unconfirmed,
)
from scheduler.decide import SECOND, calm_at

# 9999-12-31: paused until somebody or something ends it.
FOREVER = 253_402_300_799_000_000
HUMAN_PAUSE = 24 * 3600 * SECOND


# Of an account that can publish nothing: what people read.
SHUT: Mapping[str, str] = {
    HealthStatus.VANISHED: "it has vanished",
    HealthStatus.ACCESS_LOST: "it refuses us",
}

# An account's `pause_reason` -> what people read; what is not here are words already.
PAUSES: Mapping[str, str] = {
    "usage": "its platform's limit is near",
    "throttled": "its platform asks to slow down",
    "breaker": "too much failed there one after the other",
    "suspected": "it may have vanished",
    **SHUT,
    AccessReason.TOKEN: "its access has ended",
    AccessReason.PERMISSION: "it lacks a permission",
    AccessReason.ROLE: "its role there does not suffice",
    AccessReason.POLICY: "its platform has restricted it",
    AccessReason.VERSION: "its platform no longer speaks this version",
    AccessReason.MISCONFIGURED: "something there has to be set right",
}

# What a success proves to be over.
PASSING = {HealthStatus.THROTTLED, HealthStatus.PLATFORM_DOWN}


class Sign(StrEnum):
    """What changed for the account."""

    WELL = "well"
    FAILING = "failing"
    THROTTLED = "throttled"
    ACCESS_LOST = "access-lost"
    SUSPECTED = "suspected"


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountSign:
    """To apply to the account's row: `failures` in a row (None: leave), a pause, a status."""

    sign: Sign
    failures: int | None = None
    paused_until: int | None = None
    status: HealthStatus | None = None
    reason: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerPolicy:
    """After `failures` in a row the account rests `pause_us`, then twice that, and so on; when a
    rest ends one delivery is let through to see (half-open)."""

    failures: int = 5
    pause_us: int = 60 * SECOND
    cap_us: int = 3600 * SECOND


# From what a success or two may outweigh to what only a person or a probe ends.
_GRAVITY = (Sign.WELL, Sign.FAILING, Sign.THROTTLED, Sign.SUSPECTED, Sign.ACCESS_LOST)


def gravest(signs: Iterable[tuple[str, AccountSign]]) -> dict[str, AccountSign]:
    """Of signs that came together, one for each account (by id): what a request that began before
    or beside another was answered takes nothing back of what the other one found."""
    found: dict[str, AccountSign] = {}
    for account_id, sign in signs:
        before = found.get(account_id)
        if before is None or _weight(sign) >= _weight(before):
            found[account_id] = sign
    return found


def _weight(sign: AccountSign) -> tuple[int, int]:
    return _GRAVITY.index(sign.sign), sign.paused_until or 0


def read_sign(  # noqa: C901, PLR0911 -- one branch and one return a sign
    outcome: Outcome, failures: int, status: str, now: int, policy: BreakerPolicy
) -> AccountSign | None:
    """None when the account needs no change. `failures`: in a row before this outcome;
    `status`: the account's, a `HealthStatus`."""
    match outcome:
        case Delivered() | Accepted() | Rejected():
            slow = getattr(outcome, "slow_until", None)
            if slow is not None:
                return AccountSign(
                    sign=Sign.THROTTLED,
                    failures=0,
                    paused_until=calm_at(slow, now),
                    reason="usage",
                    detail="close to the platform's limit",
                )
            if not failures and status not in PASSING:
                return None
            recovered = HealthStatus.HEALTHY if status in PASSING else None
            return AccountSign(sign=Sign.WELL, failures=0, status=recovered)
        case Throttled(ours=True):
            return None
        case Throttled():
            until = calm_at(outcome.until, now)
            if outcome.human:
                until = max(until, now + HUMAN_PAUSE)
            return AccountSign(
                sign=Sign.THROTTLED,
                paused_until=until,
                status=HealthStatus.THROTTLED,
                reason="policy" if outcome.human else "throttled",
                detail=outcome.reason,
            )
        case Unavailable() | Unconfirmed():
            count = failures + 1
            rest = None
            if count >= policy.failures:
                doubled = policy.pause_us * 2 ** min(count - policy.failures, 20)
                rest = now + min(doubled, policy.cap_us)
            detail = outcome.reason if isinstance(outcome, Unavailable) else outcome.detail
            return AccountSign(
                sign=Sign.FAILING,
                failures=count,
                paused_until=rest,
                status=None if rest is None else HealthStatus.PLATFORM_DOWN,
                reason="breaker" if rest else "",
                detail=detail,
            )
        case AccessLost():
            return AccountSign(
                sign=Sign.ACCESS_LOST,
                paused_until=FOREVER,
                status=HealthStatus.ACCESS_LOST,
                reason=outcome.reason.value,
                detail=f"{outcome.detail} {outcome.remedy}".strip(),
            )
        case Gone():
            return AccountSign(
                sign=Sign.SUSPECTED,
                paused_until=FOREVER,
                reason="suspected",
                detail=outcome.detail,
            )
        case _:
            assert_never(outcome)
