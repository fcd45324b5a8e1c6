"""Mails parsed back by the standard library and verified by dkimpy."""

import html
import re
from collections.abc import Mapping
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
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

from channels.base import letter_number
from channels.newsletter.compose import Letter
from channels.newsletter.headers import UnsafeHeaderError, envelope, phrase
from channels.newsletter.holes import impersonal
from channels.newsletter.settings import NewsletterSettings
from channels.posts import Media, Reroute

from .support import NOW, account, adapter, post, reader, settings


def _letter(
    config: NewsletterSettings, pictures: Mapping[str, bytes] | None = None, **changes: object
) -> Letter:
    message = adapter().render(post(**changes), account())
    return Letter(message, config, date=NOW, pictures=pictures or {})


def _parsed(content: bytes) -> EmailMessage:
    mail = message_from_bytes(content, policy=policy.default.clone(raise_on_defect=True))
    assert isinstance(mail, EmailMessage)
    return mail


def _part(mail: EmailMessage, subtype: str) -> str:
    part = mail.get_body((subtype,))
    assert part is not None
    text: str = part.get_content()
    return text


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def test_the_mail_is_valid_and_has_one_of_each_header() -> None:
    content = (
        _letter(settings(reply_to="bonjour@librairie.example.org")).to(reader(), key="k").content
    )
    mail = _parsed(content)

    for name in ("From", "To", "Subject", "Date", "Message-ID", "Reply-To", "List-Id"):
        assert len(mail.get_all(name) or []) == 1, name
    assert mail["Subject"] == "Réouverture le 1er décembre"
    assert mail["From"] == "Librairie des Quais <lettre@librairie.example.org>"
    assert mail["To"].addresses[0].display_name == "Amélie"
    assert mail["To"].addresses[0].addr_spec == "amelie@example.org"
    assert mail["Date"].datetime == NOW
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["Precedence"] == "bulk"
    assert [part.get_content_type() for part in mail.iter_parts()] == ["text/plain", "text/html"]
    assert content.isascii()
    assert max(map(len, content.split(b"\r\n"))) <= 200
    assert re.search(rb"[^\r]\n|\r[^\n]", content) is None


def test_unsubscribing_takes_one_click() -> None:
    mail = _parsed(_letter(settings()).to(reader(), key="k").content)
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    https, mailto = re.findall(r"<([^>]+)>", mail["List-Unsubscribe"])
    assert https == "https://librairie.example.org/u/abc123"
    assert mailto.startswith("mailto:lettre@librairie.example.org?subject=unsubscribe%20")
    assert https in _part(mail, "plain")
    assert f'href="{https}"' in _part(mail, "html")


def test_without_a_link_of_their_own_readers_unsubscribe_by_mail() -> None:
    mail = _parsed(_letter(settings()).to(reader(unsubscribe_url=""), key="k").content)
    assert mail["List-Unsubscribe-Post"] is None
    assert mail["List-Unsubscribe"].startswith("<mailto:")
    assert 'href="mailto:lettre@librairie.example.org?subject=' in _part(mail, "html")


def test_the_message_id_depends_on_the_key_alone() -> None:
    one = _letter(settings()).to(reader(), key="k").message_id
    assert _letter(settings(), body="Tout autre chose").to(reader(), key="k").message_id == one
    assert _letter(settings()).to(reader(), key="other").message_id != one
    assert one.endswith("@librairie.example.org")


def test_a_name_cannot_break_out_of_text_html_or_header() -> None:
    hostile = 'Eve" <b>&\r\nBcc: all@example.org {{address}}'
    mail = _parsed(_letter(settings()).to(reader(name=hostile), key="k").content)
    assert mail["Bcc"] is None
    assert len(mail["To"].addresses) == 1
    assert 'Eve" <b>&' in _part(mail, "plain")
    assert "<b>&" not in _part(mail, "html")
    assert "&lt;b&gt;&amp;" in _part(mail, "html")
    assert "{{address}}" in _part(mail, "plain")


@given(st.text(min_size=1, max_size=300))
def test_any_name_comes_back_as_it_was_but_for_controls(name: str) -> None:
    name = name.encode("utf-8", "ignore").decode()
    header = phrase(name).decode("ascii")
    assert all(line.startswith((" ", "=?", '"')) for line in header.split("\r\n"))
    mail = message_from_bytes(
        b"To: " + phrase(name) + b" <a@example.org>\r\n\r\n", policy=policy.default
    )
    shown = " ".join("".join(c if c.isprintable() else " " for c in name).split())
    assert mail["To"].addresses[0].addr_spec == "a@example.org"
    assert "".join(mail["To"].addresses[0].display_name.split()) == "".join(shown.split())


@given(st.text(max_size=400))
def test_any_value_is_read_back_in_the_text_part(value: str) -> None:
    value = value.encode("utf-8", "ignore").decode().replace("\r\n", "\n").replace("\r", "\n")
    letter = _letter(settings(), body="Ville : {{city|inconnue}}, voilà")
    mail = _parsed(letter.to(reader(attributes={"city": value}), key="k").content)
    text = _part(mail, "plain").replace("\r\n", "\n")
    assert f"Ville : {value or 'inconnue'}, voilà" in text


@pytest.mark.parametrize("value", ["." * 300, "x" * 72, "x" * 73, "https://e.org/" + "ab." * 99])
def test_a_long_word_is_read_back_and_no_line_of_it_ends_the_mail(value: str) -> None:
    letter = _letter(settings(), body="Ici : {{city}}")
    mail = letter.to(reader(attributes={"city": value}), key="k")
    assert f"Ici : {value}" in _part(_parsed(mail.content), "plain").replace("\r\n", "\n")
    body = mail.content.partition(b"\r\n\r\n")[2]
    assert max(len(line) for line in body.split(b"\r\n")) <= 76
    assert mail.stuffed.replace(b"\r\n..", b"\r\n.") == mail.content


@pytest.mark.parametrize(
    ("written", "values", "leads_to"),
    [
        ("[Book](https://x.example/?n={{name}}&d=2)", {}, "https://x.example/?n=Am%C3%A9lie&d=2"),
        ("[Book](https://x.example/{{city|nowhere}})", {"city": 'a b"/<&?'},
         "https://x.example/a%20b%22%2F%3C%26%3F"),
        ("[Book](https://x.example/{{city|nowhere}})", {}, "https://x.example/nowhere"),
        ("[Book](<https://x.example/{{ city | no town }}>)", {}, "https://x.example/no%20town"),
        ("[Book](https://x.example/{{city}})", {}, "https://x.example/"),
        ("[Mine]({{portal}})", {"portal": "https://x.example/?a=1&b=2"},
         "https://x.example/?a=1&b=2"),
        ("[Mine]({{portal}})", {"portal": "javascript:alert(1)"}, "javascript%3Aalert%281%29"),
        ("[Stop]({{unsubscribe_url}})", {}, "https://librairie.example.org/u/abc123"),
    ],
)  # fmt: skip
def test_a_readers_own_value_in_a_links_address_is_part_of_the_address(
    written: str, values: dict[str, str], leads_to: str
) -> None:
    mail = _parsed(_letter(settings(), body=written).to(reader(attributes=values), key="k").content)
    label = written[1 : written.index("]")]
    assert f"{label} ({leads_to})" in _part(mail, "plain")
    (link,) = re.findall(rf'<a href="([^"]*)"[^>]*>{label}</a>', _part(mail, "html"))
    assert html.unescape(link) == leads_to


def test_the_posts_own_link_takes_a_readers_value_too() -> None:
    letter = _letter(settings(), link="https://x.example/?c={{city|any town}}")
    for values, leads_to in (({"city": "a&b c"}, "a%26b%20c"), ({}, "any%20town")):
        mail = _parsed(letter.to(reader(attributes=values), key="k").content)
        assert f"https://x.example/?c={leads_to}\n" in _part(mail, "plain").replace("\r", "")
        assert f'"https://x.example/?c={leads_to}"' in _part(mail, "html")


def test_what_all_readers_share_has_the_words_after_the_bar_in_its_addresses() -> None:
    shared = impersonal(
        '<a href="https://x.example/%7B%7Bcity%7Cno%20town%7D%7D">{{city|here}}</a>'
    )
    assert shared == '<a href="https://x.example/no%20town">here</a>'


@pytest.mark.parametrize(
    "address",
    [
        "a@example.org\r\nRCPT TO:<b@example.org>",
        "a@example.org> SIZE=1",
        "a b@example.org",
        "a@b@example.org",
        "élodie@example.org",
        "a@",
        "",
    ],
)
def test_an_address_that_mail_cannot_reach_is_refused(address: str) -> None:
    with pytest.raises(UnsafeHeaderError):
        _letter(settings()).to(reader(address), key="k")


def test_an_international_domain_travels_in_its_ascii_form() -> None:
    assert envelope("bonjour@librairie-é.example.org") == "bonjour@xn--librairie--k7a.example.org"


def test_an_unsubscribe_link_cannot_end_its_header() -> None:
    with pytest.raises(UnsafeHeaderError):
        _letter(settings()).to(reader(unsubscribe_url="https://x.example.org/>\r\nBcc: a"), key="k")


def test_a_picture_without_public_address_travels_inside(tmp_path: Path) -> None:
    picture = Media(id="m1", content_type="image/png", alt="La façade", path=tmp_path / "a.png")
    data = bytes(range(256)) * 20
    mail = _parsed(
        _letter(settings(), {"m1": data}, media=(picture,)).to(reader(), key="k").content
    )
    inside = [part for part in mail.walk() if part["Content-ID"]]
    assert [part.get_payload(decode=True) for part in inside] == [data]
    assert f'src="cid:{str(inside[0]["Content-ID"]).strip("<>")}" alt="La façade"' in _part(
        mail, "html"
    )


def test_one_picture_leads_and_the_others_follow_the_text() -> None:
    two = tuple(
        Media(id=name, content_type="image/png", alt=name, url=f"https://shop.example/{name}.png")
        for name in ("first", "second")
    )
    page = adapter().render(post(body="The words.", media=two), account()).html
    order = [page.index(said) for said in ("first.png", "The words.</p>", "second.png")]
    assert order == sorted(order)


def test_a_rerouted_post_says_where_it_comes_from() -> None:
    rerouted = Reroute(from_channel="facebook", from_name="Librairie des Quais")
    mail = _parsed(_letter(settings(), rerouted=rerouted).to(reader(), key="k").content)
    assert "injoignable" in _part(mail, "plain")
    assert "injoignable" in _part(mail, "html")


def test_dark_mode_and_phones_are_provided_for() -> None:
    page = adapter().render(post(), account()).html
    assert "prefers-color-scheme: dark" in page
    assert 'name="color-scheme" content="light dark"' in page
    assert "max-width: 600px" in page
    assert 'lang="fr"' in page


def test_check_names_what_mail_cannot_carry() -> None:
    video = Media(id="v", content_type="video/mp4")
    webp = Media(id="w", content_type="image/webp", url="https://example.org/a.webp")
    message = adapter().render(post(title="t" * 300, media=(video, webp)), account())
    found = {problem.code for problem in adapter().check(message, account())}
    assert found == {"title-too-long", "media-unreachable", "image-type", "alt-missing"}
    assert adapter().check(adapter().render(post(), account()), account()) == []


def _dns(key: rsa.RSAPrivateKey) -> dict[bytes, bytes]:
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    record = b"".join(public.splitlines()[1:-1])
    return {b"e1._domainkey.librairie.example.org.": b"v=DKIM1; k=rsa; p=" + record}


def _signed_settings(key: rsa.RSAPrivateKey) -> NewsletterSettings:
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    return settings(
        dkim={"selector": "e1", "domain": "librairie.example.org", "private_key": pem},
        reply_to="bonjour@librairie.example.org",
    )


def _verifies(content: bytes, key: rsa.RSAPrivateKey) -> bool:
    records = _dns(key)
    return bool(dkim.verify(content, dnsfunc=lambda name, timeout=5: records.get(name)))


def test_the_dkim_signature_verifies_and_protects_what_matters(key: rsa.RSAPrivateKey) -> None:
    content = (
        _letter(_signed_settings(key), body="Deux  espaces, une fin \n\n")
        .to(reader(), key="k")
        .content
    )
    assert _verifies(content, key)
    assert not _verifies(content.replace(b"Subject: ", b"Subject: Re: "), key)
    assert not _verifies(content.replace(b"From:", b"From: x@example.net\r\nFrom:", 1), key)
    assert not _verifies(b"Subject: another\r\n" + content, key)
    assert not _verifies(content.replace(b"One-Click", b"Two-Click", 1), key)
    assert not _verifies(content.replace(b"Deux", b"Trois", 1), key)
    signature = content.split(b"\r\nTo:", 1)[0]
    for name in (b"List-Unsubscribe", b"List-Unsubscribe-Post", b"Message-ID", b"To", b"Date"):
        assert re.search(rb"[=: ]" + name + rb"[:;]", signature), name
    assert b" l=" not in signature


def test_the_key_is_never_shown(key: rsa.RSAPrivateKey) -> None:
    assert "PRIVATE KEY" not in repr(_signed_settings(key))
    assert "PRIVATE KEY" not in _signed_settings(key).model_dump_json()


def test_bounces_come_back_to_an_address_that_names_the_reader() -> None:
    tagged = reader(return_tag="abc234")
    own = _letter(settings(envelope_from="bounces@example.org")).to(tagged, key="k")
    assert own.sender == b"bounces+abc234@example.org"
    shared = _letter(settings()).to(tagged, key="k")
    assert shared.sender == settings().from_address.encode()


def test_who_unsubscribes_by_mail_writes_to_where_we_read_it() -> None:
    box = {"host": "imap.example.org", "username": "bounces", "password": "secret"}
    tagged = reader(return_tag="abc234", unsubscribe_url="https://x.example/u/1")

    def leaves_at(**changes: Any) -> str:
        mail = _letter(settings(envelope_from="bounces@example.org", **changes))
        fields = message_from_bytes(mail.to(tagged, key="k").content, policy=policy.default)
        return str(fields["List-Unsubscribe"]).partition("<mailto:")[2].partition(">")[0]

    read = leaves_at(returns=box)
    assert read == f"bounces+abc234@example.org?subject=unsubscribe%20{letter_number('k')}"
    assert leaves_at().startswith(f"{settings().from_address}?")
    own = leaves_at(returns=box, unsubscribe_mailto="stop@example.org")
    assert own.startswith("stop@example.org?")


def test_a_long_word_and_a_table_stay_within_a_phone_s_width() -> None:
    words = (
        f"{'Donau' * 30}\n\n| a | b |\n|--|--|\n| {'x' * 90} | 2 |\n\n```\n{'code ' * 40}\n```\n"
    )
    page = adapter().render(post(title="Haut" * 30, body=words), account()).html
    sheets = re.findall(r'<table class="(?:outer|sheet)"[^>]*>', page)
    assert len(sheets) == 2
    assert all("table-layout: fixed" in sheet for sheet in sheets)
    main, table, code = (
        re.search(f"<{tag}[^>]*>", page) for tag in ('td class="main"', "table style", "pre")
    )
    assert main is not None
    assert "overflow-wrap: anywhere" in main[0]
    assert table is not None
    assert "overflow-x: auto" in table[0]
    assert code is not None
    assert "white-space: pre-wrap" in code[0]
