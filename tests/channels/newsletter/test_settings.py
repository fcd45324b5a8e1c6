"""Settings that would fail later are refused at once, and the refusal names the field."""

from typing import Any

import pytest
from pydantic import ValidationError

from .support import settings


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"from_address": "nobody"}, "from_address"),
        ({"from_address": "élodie@example.org"}, "from_address"),
        ({"from_name": "A\r\nBcc: b@example.org"}, "from_name"),
        ({"reply_to": "a@example.org\nX: y"}, "reply_to"),
        ({"list_id": "a list"}, "list_id"),
        ({"publisher": ""}, "publisher"),
        ({"relays": []}, "relays"),
        ({"relays": [{"host": "mail.example.org", "port": 0}]}, "port"),
        ({"relays": [{"host": "mail.example.org", "tls": "maybe"}]}, "tls"),
        ({"message_id_domain": "a b"}, "message_id_domain"),
        ({"dkim": {"selector": "s", "domain": "example.org", "private_key": "x"}}, "private_key"),
        ({"colour": "blue"}, "colour"),
    ],
)
def test_a_wrong_setting_is_refused_by_name(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(ValidationError) as refused:
        settings(**changes)
    assert field in {str(part) for error in refused.value.errors() for part in error["loc"]}


def test_a_password_is_never_sent_in_the_clear_to_another_machine() -> None:
    relay = {"host": "mail.example.org", "tls": "none", "username": "u", "password": "geheim"}
    with pytest.raises(ValidationError, match="starttls") as refused:
        settings(relays=[relay])
    assert "geheim" not in str(refused.value)
