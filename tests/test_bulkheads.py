"""Shares of a worker's room: whoever is stuck, who has nothing armed yet can be armed."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st

from scheduler.attempt import Armed
from scheduler.bulkheads import crowded, free

MOST = 1000
CHUNK = 50


def armed(account: str, channel: str) -> Armed:
    member: Any = SimpleNamespace(id=account, channel=SimpleNamespace(name=channel))
    return Armed(cast("Any", None), member, cast("Any", None), 0, 0)


def filled(accounts: list[tuple[str, str]]) -> list[Armed]:
    """Everybody's posts are stuck, and claimed in turn until nobody may claim more."""
    waiting: list[Armed] = []
    while True:
        without = crowded(waiting, MOST)
        allowed = [
            (account, channel)
            for account, channel in accounts
            if account not in without.accounts and channel not in without.adapters
        ]
        limit = free(len(waiting), MOST, CHUNK)
        if not allowed or not limit:
            return waiting
        waiting += [armed(*allowed[0])] * limit


@given(st.integers(1, 40), st.integers(1, 9))
def test_however_many_are_stuck_there_is_room_for_another(accounts: int, channels: int) -> None:
    stuck = [(f"page {n}", f"channel {n % channels}") for n in range(accounts)]
    waiting = filled(stuck)
    assert len(waiting) < MOST
    assert free(len(waiting), MOST, CHUNK) > 0
    without = crowded(waiting, MOST)
    assert "newcomer" not in without.accounts
    assert "its channel" not in without.adapters


def test_one_channel_of_many_accounts_takes_half_the_room_and_one_account_a_fifth() -> None:
    many = [armed(f"page {n % 50}", "facebook") for n in range(MOST // 2)]
    assert "facebook" in crowded(many, MOST).adapters
    assert not any(crowded(many[:-1], MOST))
    one = [armed("page", "facebook")] * (MOST // 5)
    assert crowded(one, MOST) == (["page"], [])
    assert not any(crowded(one[:-1], MOST))
