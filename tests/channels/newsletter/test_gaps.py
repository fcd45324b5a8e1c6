"""Placeholders whose value somebody lacks: in the subject, the preheader and the body alike."""

from __future__ import annotations

from base64 import b64encode
from email import message_from_bytes, policy
from typing import Any

import dkim
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import given
from hypothesis import strategies as st

from channels.newsletter.compose import Letter
from channels.newsletter.holes import holes, impersonal, plain_subject, shortened
from channels.newsletter.settings import NewsletterSettings
from channels.outcome import Problem, Severity
from channels.translations import in_language

from .support import NOW, account, adapter, post, reader, settings


def _problems(**words: Any) -> dict[tuple[str, str], Problem]:
    """By field and code."""
    channel = adapter()
    found = channel.check(channel.render(post(**words), account()), account())
    return {(one.field, one.code): one for one in found}


def _letter(config: NewsletterSettings | None = None, **words: Any) -> Letter:
    message = adapter().render(post(**words), account())
    return Letter(message, config or settings(), date=NOW, pictures={})


def _subject(letter: Letter, **who: Any) -> str:
    mail = letter.to(reader(**who), key="k")
    return str(message_from_bytes(mail.content, policy=policy.default)["Subject"])


@pytest.mark.parametrize(
    ("field", "words"),
    [
        ("title", {"title": "Bonjour {{city}}, nous rouvrons"}),
        ("summary", {"summary": "Bonjour {{city}}, nous rouvrons"}),
        ("body", {"body": "Avant.\n\nBonjour {{ city }}, nous **rouvrons**\n\nAprès {{city}}."}),
    ],
)
def test_the_author_is_told_what_readers_without_a_value_will_see(
    field: str, words: dict[str, str]
) -> None:
    found = _problems(**words)
    told = found[field, "fallback-missing"]
    assert [key for key in found if key[1] == "fallback-missing"] == [(field, "fallback-missing")]
    assert told.severity is Severity.WARNING
    assert told.detail.endswith("“Bonjour , nous rouvrons”")
    assert told.remedy == "Write {{city|words for them}}, or {{city|}} to leave it out."
    assert in_language(told.detail, "fr").startswith("les lecteurs dont «\u00a0city\u00a0» ")
    assert "{{city|des mots pour eux}}" in in_language(told.remedy, "fr")


@pytest.mark.parametrize(
    "words",
    [
        {"title": "{{name|Chers amis}}, nous rouvrons"},
        {"summary": "{{city|Chez vous}} aussi"},
        {"body": "Bonjour{{name|}}, [partez]({{unsubscribe_url}}), {{address}}."},
        {"body": "[Réserver](https://x.example/?n={{name|}})"},
    ],
)
def test_who_foresaw_it_is_told_nothing(words: dict[str, str]) -> None:
    assert not {code for _, code in _problems(**words)} & {
        "fallback-missing", "placeholder-unreadable",
    }  # fmt: skip


def test_a_value_missing_in_a_link_is_told_with_the_link() -> None:
    told = _problems(body="[Réserver](https://x.example/?n={{name}})")["body", "fallback-missing"]
    assert told.detail.endswith("“Réserver (https://x.example/?n=)”")


def test_braces_that_nothing_will_fill_are_told() -> None:
    told = _problems(body="Bonjour {{first-name}} !")["body", "placeholder-unreadable"]
    assert told.severity is Severity.WARNING
    assert told.detail.startswith("{{first-name}} is no placeholder")
    assert "{{city|votre ville}}" in in_language(told.remedy, "fr")


def test_a_long_line_is_shown_around_the_gap_alone() -> None:
    detail = _problems(body="mot " * 100 + "ici {{city}} là" + " mot" * 100)[
        "body", "fallback-missing"
    ].detail
    assert len(detail) < 200
    assert "ici  là" in detail


def test_the_subject_is_each_reader_s_own() -> None:
    letter = _letter(title="{{name|Chers amis}}, {{Name|vous}} : rouvert à {{city|Nantes}}")
    assert _subject(letter) == "Amélie, Amélie : rouvert à Nantes"
    assert _subject(letter, name="") == "Chers amis, vous : rouvert à Nantes"
    assert _subject(letter, attributes={"city": "Brest"}).endswith("rouvert à Brest")
    content = letter.to(reader(), key="k").content
    assert content.count(b"Subject:") == 1
    assert "<h1" in adapter().render(post(title="{{name|a}}"), account()).html


def test_a_subject_of_nothing_but_gaps_is_that_of_the_body() -> None:
    letter = _letter(title="{{name}}", body="Nous rouvrons.")
    assert _subject(letter) == _subject(letter, name="") == "Nous rouvrons."


@given(st.text(max_size=200))
def test_no_value_breaks_out_of_the_subject(value: str) -> None:
    value = value.encode("utf-8", "ignore").decode()
    letter = _letter(title="{{city|Nantes}} rouvre")
    raw = letter.to(reader(attributes={"city": value}), key="k").content
    head = raw.partition(b"\r\n\r\n")[0]
    names = [line.partition(b":")[0] for line in head.split(b"\r\n") if not line.startswith(b" ")]
    assert sorted(names) == sorted(set(names))
    assert b"Subject" in names
    said = message_from_bytes(raw, policy=policy.default)["Subject"]
    assert said == plain_subject(f"{value or 'Nantes'} rouvre")
    assert max(map(len, head.split(b"\r\n"))) <= 200


def test_a_subject_of_one_s_own_is_signed() -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    config = settings(
        dkim={"domain": "librairie.example.org", "selector": "s1", "private_key": pem}
    )
    content = _letter(config, title="{{name|Amis}}, réouverture").to(reader(), key="k").content
    signed = content.partition(b"b=")[0]
    assert b"subject" in signed.lower()
    message = dkim.DKIM(content)
    assert message.verify(dnsfunc=lambda *_, **__: _record(key))
    assert b"subject" in {name.lower() for name, _ in message.signed_headers}


def _record(key: rsa.RSAPrivateKey) -> bytes:
    der = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return b"v=DKIM1; k=rsa; p=" + b64encode(der)


_PIECES = st.lists(
    st.one_of(st.sampled_from(["{{name}}", "{{name|chers amis}}", "{{city|là}}"]),
              st.text("abc é.!", max_size=30)),
    max_size=12,
)  # fmt: skip


@given(_PIECES, st.integers(min_value=20, max_value=110))
def test_a_preheader_is_shortened_without_cutting_a_gap(pieces: list[str], limit: int) -> None:
    text = "".join(pieces)
    cut = shortened(text, limit)
    assert len(impersonal(cut)) <= limit
    assert impersonal(cut).count("{") == 0
    whole = [(hole.name, hole.fallback) for hole in holes(text)]
    kept = [(hole.name, hole.fallback) for hole in holes(cut)]
    assert kept == whole[: len(kept)]
