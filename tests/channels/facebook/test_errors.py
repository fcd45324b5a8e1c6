"""Codes decide what an error means, and nothing else does."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.facebook.errors import (
    Circumstances,
    GraphError,
    Verdict,
    error_in,
    outcome,
)
from channels.facebook.table import FACEBOOK, ruling
from channels.facebook.usage import regain_at, slow_until
from channels.messenger.errors import MESSENGER
from channels.outcome import Evidence, Throttled, Unavailable, Unconfirmed

NOW = datetime(2026, 11, 22, 17, tzinfo=UTC)
CODES = st.integers(min_value=-1, max_value=3_000_000)


def given_that(*, writing: bool, regain: datetime | None = None) -> Circumstances:
    return Circumstances(writing=writing, now=NOW, regain_at=regain, evidence=Evidence())


@given(code=CODES, subcode=CODES, message=st.text(), title=st.text())
def test_words_never_change_the_ruling(code: int, subcode: int, message: str, title: str) -> None:
    wordless = GraphError(code=code, subcode=subcode)
    worded = GraphError(code=code, subcode=subcode, message=message, title=title, trace=message)
    for tables in ((), (MESSENGER,)):
        assert ruling(worded, *tables) == ruling(wordless, *tables)


@given(code=CODES, subcode=CODES)
def test_every_error_has_an_outcome(code: int, subcode: int) -> None:
    error = GraphError(code=code, subcode=subcode)
    rule = ruling(error)
    assert outcome(error, rule, given_that(writing=True)).evidence == Evidence()


@pytest.mark.parametrize("code", range(200, 300))
def test_the_whole_range_of_permissions(code: int) -> None:
    assert ruling(GraphError(code=code)).verdict is Verdict.ACCESS


@pytest.mark.parametrize("value", [1363000, 1363030, 1363999])
def test_a_long_value_counts_on_either_side(value: int) -> None:
    assert ruling(GraphError(code=value)).code == "image-refused"
    assert ruling(GraphError(code=100, subcode=value)).code == "image-refused"
    assert ruling(GraphError(code=200, subcode=value)).code == "image-refused"


def test_a_short_subcode_counts_only_with_its_code() -> None:
    assert ruling(GraphError(code=100, subcode=33)).verdict is Verdict.GONE
    assert ruling(GraphError(code=200, subcode=33)).verdict is Verdict.ACCESS
    assert ruling(GraphError(code=100, subcode=368)).verdict is Verdict.REJECTED


def test_a_doubt_is_one_only_where_something_may_have_been_written() -> None:
    error = GraphError(code=2)
    assert isinstance(outcome(error, ruling(error), given_that(writing=True)), Unconfirmed)
    assert isinstance(outcome(error, ruling(error), given_that(writing=False)), Unavailable)


def test_a_pause_is_never_shorter_than_the_policy_nor_than_the_platforms_hint() -> None:
    error = GraphError(code=368)
    for hours in (1, 48):
        regain = NOW + timedelta(hours=hours)
        throttled = outcome(error, ruling(error), given_that(writing=True, regain=regain))
        assert isinstance(throttled, Throttled)
        assert throttled.until == NOW + timedelta(hours=max(hours, 24))


def test_all_that_concerns_one_person_is_the_messengers() -> None:
    assert not any(rule.verdict is Verdict.UNREACHABLE for rule in FACEBOOK.values())


@pytest.mark.parametrize(
    "data",
    [None, [], "error", {}, {"error": "text"}, {"error": None}, {"data": {"error": {"code": 1}}}],
)
def test_what_is_no_envelope(data: object) -> None:
    assert error_in(data) is None


def test_an_envelope_may_lack_everything() -> None:
    assert error_in({"error": {}}) == GraphError(code=0)
    assert error_in({"error": {"code": "190", "error_subcode": None}}) == GraphError(code=0)


BUSINESS = "X-Business-Use-Case-Usage"


@pytest.mark.parametrize(
    ("headers", "minutes"),
    [
        ({}, None),
        ({"X-App-Usage": '{"call_count":28,"total_time":25,"total_cputime":25}'}, None),
        ({"X-App-Usage": '{"call_count":74,"total_time":25,"total_cputime":25}'}, None),
        ({"X-App-Usage": '{"call_count":28,"total_time":75,"total_cputime":25}'}, 1),
        ({"X-Page-Usage": '{"call_count":1,"total_time":1,"total_cputime":90}'}, 5),
        ({BUSINESS: '{"1":[{"type":"pages","call_count":100}]}'}, 60),
        ({BUSINESS: '{"1":[{"call_count":1}],"2":[{"call_count":80},{"call_count":95}]}'}, 5),
        ({BUSINESS: '{"1":[{"call_count":100,"estimated_time_to_regain_access":7}]}'}, 7),
        *(
            ({BUSINESS: f'{{"1":[{{"estimated_time_to_regain_access":{more}}}]}}'}, 31 * 24 * 60)
            for more in ("1e300", "Infinity", "9" * 400)
        ),
        ({BUSINESS: '{"1":[{"estimated_time_to_regain_access":NaN}]}'}, None),
        ({BUSINESS: "not json"}, None),
        ({"X-App-Usage": "[" * 5000}, None),
        ({BUSINESS: "[]"}, None),
        ({BUSINESS: '{"1":{"call_count":100}}'}, None),
        ({BUSINESS: '{"1":[{"call_count":"100"}, 7]}'}, None),
    ],
)
def test_usage_headers_say_when_to_call_again(headers: dict[str, str], minutes: int | None) -> None:
    expected = None if minutes is None else NOW + timedelta(minutes=minutes)
    assert slow_until(headers, NOW) == expected


def test_no_hint_no_time() -> None:
    assert regain_at({BUSINESS: '{"1":[{"call_count":100}]}'}, NOW) is None
