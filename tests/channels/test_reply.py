"""What platforms say is stored: nothing in it may be what no database takes."""

import json

import pytest

from channels.http import Reply


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        (r'{"a": "x\u0000y"}', {"a": "x\ufffdy"}),
        (r'["\ud800", "\uDFFFz"]', ["\ufffd", "\ufffdz"]),
        (r'{"k\u0000": ["\ud83c\udf88 f\u00eate", 1, null]}', {"k\ufffd": ["🎈 fête", 1, None]}),
        (r'{"a": "plain"}', {"a": "plain"}),
    ],
)
def test_json_is_storable(sent: str, read: object) -> None:
    found = Reply(200, {}, sent.encode()).json()
    assert found == read
    assert json.dumps(found, ensure_ascii=False).encode()


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        (b'\xef\xbb\xbf{"a": 1}', {"a": 1}),
        ('{"a": "é"}'.encode("utf-16"), {"a": "é"}),
        (b'{"a": 1, "a": 20000000000000000000}', {"a": 20000000000000000000}),
        (b"<html>", None),
        (b'{"a": ', None),
        (b'{"a": "\xff"}', None),
        (b"[" * 100_000, None),
    ],
)
def test_json_in_every_encoding_that_it_may_have(sent: bytes, read: object) -> None:
    assert Reply(200, {}, sent).json() == read


def test_text_is_storable() -> None:
    assert Reply(200, {}, b"a\0b\xffc").text == "a\ufffdb\ufffdc"
