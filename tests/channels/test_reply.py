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


def test_text_is_storable() -> None:
    assert Reply(200, {}, b"a\0b\xffc").text == "a\ufffdb\ufffdc"
