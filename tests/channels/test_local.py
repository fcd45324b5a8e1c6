"""Where this machine reaches what listens on it."""

import pytest

from channels.local import local_url
from scheduler.settings import Settings


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:80"),
        ("posts.example", "http://posts.example:80"),
        ("0.0.0.0", "http://127.0.0.1:80"),  # noqa: S104 -- not bound
        ("::", "http://127.0.0.1:80"),
        ("::1", "http://[::1]:80"),
    ],
)
def test_an_address_that_is_nobodys_own_is_never_said(host: str, url: str) -> None:
    assert local_url(host, 80) == url
    assert Settings(host=host, port=80).effective_public_url == url


def test_who_names_an_address_is_believed() -> None:
    settings = Settings(host="0.0.0.0", public_url="https://posts.example.org/")  # noqa: S104 -- as above
    assert settings.effective_public_url == "https://posts.example.org"
    assert settings.own_hosts == ("posts.example.org",)
