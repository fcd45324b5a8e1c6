"""When a platform says to come back, in both of the forms that HTTP has."""

from datetime import UTC, datetime, timedelta

import pytest

from channels.exchange import retry_after

NOW = datetime(2030, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ("120", NOW + timedelta(seconds=120)),
        (" 0 ", NOW),
        ("Tue, 01 Jan 2030 00:05:00 GMT", NOW + timedelta(minutes=5)),
        ("soon", None),
        ("", None),
        ("-5", None),
    ],
)
def test_both_forms_are_read(value: str, wanted: datetime | None) -> None:
    assert retry_after(value, NOW) == wanted


def test_an_absurd_wait_is_long_and_no_error() -> None:
    found = retry_after("9" * 40, NOW)
    assert found is not None
    assert found > NOW + timedelta(days=3650)
