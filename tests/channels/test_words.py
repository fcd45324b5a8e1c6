"""One Markdown body, fitted to what each channel carries."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.posts import Post, Reroute
from channels.sentences import read_more, reroute_note
from channels.words import (
    ELLIPSIS,
    byte_length,
    campaign_rewrite,
    grapheme_length,
    own_link,
    shorten,
    slugify,
    tagged,
    to_html,
    to_plain,
    utf16_length,
)

FAMILY = "👨‍👩‍👧‍👦"
MEASURES = [len, utf16_length, grapheme_length, byte_length]
PIECES = [*"abcéÀ .!?:;…»«\n\u00a0\u202f", "مرحبا", "東京。", FAMILY, "e\u0301"]
prose = st.lists(st.sampled_from(PIECES), max_size=120).map("".join)


@pytest.mark.parametrize(
    ("markdown", "plain"),
    [
        ("# Réouverture\n\nLe **12 mai** à *10 h*.", "Réouverture\n\nLe 12 mai à 10 h."),
        ("Voir [le menu](https://rosa.fr/menu).", "Voir le menu (https://rosa.fr/menu)."),
        ("[https://rosa.fr](https://rosa.fr)", "https://rosa.fr"),
        ("[rosa.fr](https://rosa.fr/)", "https://rosa.fr/"),
        ("Sur rosa.fr ou https://rosa.fr/x", "Sur rosa.fr ou https://rosa.fr/x"),
        ("<https://rosa.fr>", "https://rosa.fr"),
        ("[écrivez](mailto:a@rosa.fr)", "écrivez (a@rosa.fr)"),
        ("a@rosa.fr", "a@rosa.fr"),
        ("- pain\n- lait\n  frais", "• pain\n• lait\n  frais"),
        ("3. trois\n4. quatre", "3. trois\n4. quatre"),
        ("- a\n  - b\n  - c", "• a\n  • b\n  • c"),
        ("> cité\n> deux fois", "cité\ndeux fois"),
        ("lundi 9 h\nmardi 10 h", "lundi 9 h\nmardi 10 h"),
        ("a\n\n\n\n\n---\n\nb", "a\n\nb"),
        ("`code` et ~~rayé~~", "code et rayé"),
        ("```\nx = 1\n```", "x = 1"),
        ("| a | b |\n|---|---|\n| 1 | 2 |", "a | b\n1 | 2"),
        ("![un chat](chat.png)", "un chat"),
        ("un<br>deux <b>gras</b>", "un\ndeux gras"),
        ("<div>bloc <script>alert(1)</script></div>", "bloc"),
        ("1 < 2 & 3 \\* 4 &amp; 5", "1 < 2 & 3 * 4 & 5"),
        ("", ""),
    ],
)
def test_markdown_reads_as_plain_text(markdown: str, plain: str) -> None:
    assert to_plain(markdown) == plain


def test_html_links_bare_addresses_and_keeps_line_breaks() -> None:
    html = to_html("Sur https://rosa.fr\nou **ici**")
    assert 'href="https://rosa.fr"' in html
    assert "<br>" in html
    assert "<strong>ici</strong>" in html


@pytest.mark.parametrize(
    "markdown",
    [
        "<script>alert(1)</script>",
        '<img src=x onerror="alert(1)">',
        "[clic](javascript:alert(1))",
        '<a href="javascript:alert(1)">x</a>',
        "<iframe src='https://evil.example'></iframe>",
        "<style>body{display:none}</style>",
    ],
)
def test_html_is_sanitised(markdown: str) -> None:
    html = to_html(markdown)
    for danger in ("<script", "onerror", 'href="javascript', "<iframe", "<style"):
        assert danger not in html


def test_links_are_rewritten_in_plain_text_and_html() -> None:
    def rewrite(url: str) -> str:
        return f"{url}?tag"

    assert to_plain("[x](https://rosa.fr)", rewrite=rewrite) == "x (https://rosa.fr?tag)"
    assert to_plain("https://rosa.fr", rewrite=rewrite) == "https://rosa.fr?tag"
    assert 'href="https://rosa.fr?tag"' in to_html("https://rosa.fr", rewrite=rewrite)


def test_lengths_count_what_each_platform_counts() -> None:
    text = f"é{FAMILY}"
    assert (len(text), utf16_length(text), grapheme_length(text), byte_length(text)) == (
        8,
        12,
        2,
        27,
    )


@pytest.mark.parametrize(
    ("text", "limit", "expected"),
    [
        ("Court.", 10, "Court."),
        ("Une phrase. Une autre phrase.", 20, "Une phrase."),
        ("Un mot puis encore bien d’autres", 20, "Un mot puis encore…"),
        ("Quelle joie ! Nous rouvrons demain.", 20, "Quelle joie !"),
        ("Nous rouvrons demain ! Venez", 21, "Nous rouvrons…"),
        ("Nous rouvrons demain\u202f! Venez", 21, "Nous rouvrons…"),
        ("Il a dit « Bonjour ! » Puis il est parti", 26, "Il a dit « Bonjour ! »"),
        ("Chez M. Dupont et associés tout va", 18, "Chez M. Dupont et…"),
        ("Oui. Une très longue phrase qui continue", 30, "Oui. Une très longue phrase…"),
        ("東京。大阪。京都。", 7, "東京。大阪。"),
        ("abcdefghij", 5, "abcd…"),
        ("abc", 0, ""),
    ],
)
def test_text_is_cut_where_a_reader_would(text: str, limit: int, expected: str) -> None:
    assert shorten(text, limit) == expected


def test_cut_text_ends_with_where_to_read_on() -> None:
    more = "\n\n" + read_more("https://rosa.fr/p", "fr")
    text = "Une première phrase assez longue. Une seconde qui ne tient pas dans la limite donnée."
    cut = shorten(text, 80, more=more)
    assert cut == f"Une première phrase assez longue.{more}"
    assert shorten("Tient.", 80, more=more) == "Tient."
    assert shorten(text, 19, more=more) == "Une première…"


@given(
    text=prose,
    limit=st.integers(0, 100),
    measure=st.sampled_from(MEASURES),
    more=st.sampled_from(["", "\n\nLire la suite\u00a0: https://rosa.fr"]),
)
def test_shortened_text_fits_and_begins_like_the_original(
    text: str, limit: int, measure: Callable[[str], int], more: str
) -> None:
    cut = shorten(text, limit, measure=measure, more=more)
    assert measure(cut) <= limit
    if measure(text) <= limit:
        assert cut == text
        return
    kept = cut.removesuffix(more)
    assert text.startswith((kept, kept.removesuffix(ELLIPSIS)))
    start = kept.removesuffix(ELLIPSIS)
    rest = text[len(start) :]
    assert grapheme_length(start) + grapheme_length(rest) == grapheme_length(text)


@given(text=prose)
def test_plain_text_has_no_loose_ends(text: str) -> None:
    plain = to_plain(text)
    assert "\n\n\n" not in plain
    assert plain == plain.strip()


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://a.fr", "https://a.fr?utm_source=fb&utm_medium=social&utm_campaign=mai"),
        (
            "https://a.fr/x?q=%C3%A9&r#bas",
            "https://a.fr/x?q=%C3%A9&r&utm_source=fb&utm_medium=social&utm_campaign=mai#bas",
        ),
        (
            "https://a.fr/?utm_source=moi",
            "https://a.fr/?utm_source=moi&utm_medium=social&utm_campaign=mai",
        ),
        ("mailto:a@b.fr", "mailto:a@b.fr"),
    ],
)
def test_campaign_tags_are_added_once(url: str, expected: str) -> None:
    once = tagged(url, source="fb", medium="social", campaign="mai")
    assert once == expected
    assert tagged(once, source="x", medium="y", campaign="z") == once


def test_only_our_own_links_are_tagged() -> None:
    post = Post(
        id="p1", title="Réouverture", blog_url="https://blog.rosa.fr/p", own_hosts=("r.fr",)
    )
    rewrite = campaign_rewrite(post, source="facebook")
    assert rewrite("https://www.r.fr/") == (
        "https://www.r.fr/?utm_source=facebook&utm_medium=social&utm_campaign=reouverture"
    )
    assert "utm_source" in rewrite("https://blog.rosa.fr/x")
    assert rewrite("https://autre.fr/") == "https://autre.fr/"
    off = Post(id="p1", own_hosts=("r.fr",), campaign_tags=False)
    assert campaign_rewrite(off, source="facebook")("https://r.fr/") == "https://r.fr/"
    assert not own_link("https://notr.fr", ["r.fr"])
    assert not own_link("rien", [""])


@pytest.mark.parametrize(
    ("title", "slug"),
    [
        ("Réouverture le 12 mai !", "reouverture-le-12-mai"),
        ("Œufs & bœuf, straße", "oeufs-boeuf-strasse"),
        ("  --  ", ""),
        ("مرحبا", ""),
        ("a" * 100, "a" * 80),
        ("mot " * 40, "-".join(["mot"] * 20)),
    ],
)
def test_slug_is_plain_ascii(title: str, slug: str) -> None:
    assert slugify(title) == slug


def test_reroute_note_says_why_in_the_readers_language() -> None:
    reroute = Reroute(from_channel="facebook", from_name="Chez Rosa")
    assert reroute_note(reroute, "fr-FR") == (
        "Notre page Facebook «\u00a0Chez Rosa\u00a0» est injoignable pour le moment\u202f; "
        "nous vous écrivons donc ici."
    )
    assert reroute_note(reroute, "en") == (
        "Our Facebook page “Chez Rosa” cannot be reached for now, so we are writing to you here."
    )
    unknown = Reroute(from_channel="pigeon", from_name="")
    assert reroute_note(unknown, "de").startswith("Our usual channel cannot")
    own = Reroute(from_channel="facebook", from_name="Chez Rosa", note="Nous voici.")
    assert reroute_note(own, "fr") == "Nous voici."
