"""Whose looks may begin now."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from scheduler.looking import Places

CHANNELS = {"shop": "facebook", "club": "facebook", "site": "wordpress"}


def test_an_account_takes_its_own_places_and_a_channel_those_of_all_its_accounts() -> None:
    places = Places(of_account=2, of_channel=3)
    due = [(str(n), account) for account in ("shop", "club", "site") for n in range(3)]
    chosen, passed = places.choose(due, CHANNELS)
    assert [account for _, account in chosen] == ["shop", "shop", "club", "site", "site"]
    assert set(passed) == {"shop", "club", "site"}
    assert places.full() == {"shop", "site"}


def test_a_place_given_back_is_taken_again() -> None:
    places = Places(of_account=1, of_channel=1)
    assert places.take("shop", "facebook")
    assert not places.take("club", "facebook")
    places.leave("shop", "facebook")
    assert places.take("club", "facebook")


@given(st.lists(st.sampled_from([*CHANNELS, "unknown"]), max_size=40))
def test_those_passed_over_keep_their_order_behind_those_before_them(accounts: list[str]) -> None:
    places = Places(of_account=3, of_channel=4)
    due = [(str(n), account) for n, account in enumerate(accounts)]
    chosen, passed = places.choose(due, CHANNELS)
    for account in accounts:
        own = [one for one in due if one[1] == account]
        taken = [one for one in chosen if one[1] == account]
        assert taken == own[: len(taken)]
        assert (len(taken) < len(own)) == (account in passed)
