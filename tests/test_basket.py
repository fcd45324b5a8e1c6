"""All eggs in one basket, as a number."""

from hypothesis import given
from hypothesis import strategies as st

from scheduler.basket import Egg, concentration, report, shares


def egg(name: str, audience: int | None, delivered: int = 0) -> Egg:
    return Egg(
        account_id=name, name=name, channel="blog", audience=audience, delivered=delivered,
        waiting=2, saved=1,
    )  # fmt: skip


def test_everything_on_one_account_is_one() -> None:
    assert report([egg("page", 900)], [])["audience_index"] == 1


def test_the_story_in_numbers() -> None:
    found = report([egg("list", 200, 10), egg("page", 800, 10)], [])
    assert [one["account"] for one in found["accounts"]] == ["page", "list"]
    assert found["accounts"][0]["audience_share"] == 0.8
    assert round(found["audience_index"] or 0, 2) == 0.68
    assert found["delivered_index"] == 0.5
    assert (found["waiting"], found["saved"]) == (4, 2)


def test_what_nobody_knows_is_said_and_not_counted_as_nothing() -> None:
    found = report([egg("page", 800), egg("site", None)], [])
    assert found["unknown"] == ["site"]
    assert found["accounts"][1]["audience_share"] is None
    assert report([egg("site", None)], [])["audience_index"] is None


@given(st.dictionaries(st.text(min_size=1), st.integers(0, 10**9), min_size=1, max_size=20))
def test_the_index_lies_between_even_and_all(amounts: dict[str, int]) -> None:
    index = concentration(shares(amounts))
    if index is None:
        assert not any(amounts.values())
    else:
        assert 1 / len(amounts) - 1e-9 <= index <= 1 + 1e-9
