"""Unsubscribe links: only ours open, and only as made."""

from pathlib import Path

from scheduler.audience.links import UnsubscribeLinks, audience_key
from scheduler.audience.suppression import fingerprint


def test_a_link_names_its_person_and_list() -> None:
    links = UnsubscribeLinks("https://shop.example.org", b"key")
    url = links.link("contact-1", "list-1")
    base, _, token = url.rpartition("/")
    assert base == "https://shop.example.org/u"
    assert links.read(token) == ("contact-1", "list-1")
    assert "contact-1" not in url


def test_a_changed_or_foreign_token_opens_nothing() -> None:
    links = UnsubscribeLinks("https://shop.example.org", b"key")
    token = links.link("contact-1", "list-1").rpartition("/")[2]
    changed = ("A" if token[0] != "A" else "B") + token[1:]
    for wrong in ("", "é", "abc", changed, token[:-2], token + "AAAA"):
        assert links.read(wrong) is None
    assert UnsubscribeLinks("https://shop.example.org", b"other").read(token) is None


def test_the_key_is_made_once_and_kept_to_its_owner(tmp_path: Path) -> None:
    first = audience_key("", tmp_path)
    assert audience_key("", tmp_path) == first
    assert len(first) >= 32
    assert (tmp_path / "audience.key").stat().st_mode & 0o777 == 0o600
    assert audience_key("configured", tmp_path) == b"configured"


def test_one_mailbox_has_one_fingerprint() -> None:
    assert fingerprint(b"k", " Anna@Example.ORG ") == fingerprint(b"k", "anna@example.org")
    assert fingerprint(b"k", "anna@example.org") != fingerprint(b"other", "anna@example.org")
