"""When to try again: pure. The one owner of retries; neither arq nor tenacity re-runs a publish."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """`base_us` and `cap_us` bound the backoff in microseconds; `max_tries` counts attempts that
    were charged (a throttle, a pause or a rescue costs none)."""

    max_tries: int = 6
    base_us: int = 5_000_000
    cap_us: int = 900_000_000


def backoff(tries: int, policy: RetryPolicy, rng: Random) -> int:
    """Microseconds to wait after `tries` charged attempts (>= 1): full jitter, so that posts
    that failed together do not come back together."""
    ceiling = min(policy.cap_us, policy.base_us * 2 ** min(tries - 1, 40))
    return rng.randint(policy.base_us // 10, max(ceiling, policy.base_us // 10))


def next_try(
    tries: int, now: int, policy: RetryPolicy, rng: Random, *, hint: int | None = None
) -> int | None:
    """When to try again (microseconds), at the platform's own `hint` or later; None when the
    budget is spent. A deadline is the caller's to compare."""
    if tries >= policy.max_tries:
        return None
    at = now + backoff(tries, policy, rng)
    return at if hint is None else max(at, hint)
