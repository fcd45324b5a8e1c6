from random import Random

from hypothesis import given
from hypothesis import strategies as st

from scheduler.decide import SECOND
from scheduler.retry import RetryPolicy, backoff, next_try

POLICY = RetryPolicy(max_tries=6, base_us=5 * SECOND, cap_us=900 * SECOND)


@given(st.integers(1, 1000), st.integers())
def test_backoff_stays_between_a_tenth_of_the_base_and_the_cap(tries: int, seed: int) -> None:
    wait = backoff(tries, POLICY, Random(seed))
    assert POLICY.base_us // 10 <= wait <= min(POLICY.cap_us, POLICY.base_us * 2 ** (tries - 1))


def test_posts_that_failed_together_do_not_come_back_together() -> None:
    rng = Random(7)
    assert len({backoff(4, POLICY, rng) for _ in range(100)}) > 90


def test_the_budget_ends() -> None:
    assert next_try(5, 0, POLICY, Random(1)) is not None
    assert next_try(6, 0, POLICY, Random(1)) is None


def test_the_platforms_hint_is_obeyed() -> None:
    assert next_try(1, 0, POLICY, Random(1), hint=10**12) == 10**12
