"""Little text, versions, and a post as LinkedIn's fields: pure."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.linkedin import content, little_text, practice_rules, version
from channels.outcome import Severity
from channels.posts import Media, Part, Poll, Post, Reroute, Variant

ALPHABET = st.sampled_from([*"ab 1 \n/", *little_text.RESERVED, "&", "😀", "é"])


@pytest.mark.parametrize(
    ("text", "commentary"),
    [
        ("rien", "rien"),
        ("(a) [b] {c} <d> @e |f| *g* _h_ ~i~ \\j",
         r"\(a\) \[b\] \{c\} \<d\> \@e \|f\| \*g\* \_h\_ \~i\~ \\j"),
        ("Venez #Fêtes2026 !", r"Venez {hashtag|\#|Fêtes2026} !"),
        ("n° #1 et a#b", r"n° \#1 et a\#b"),
        ("https://a.fr/p_1?x=(y)#bas", r"https://a.fr/p\_1?x=\(y\)\#bas"),
        ("https://a.fr/#bas", r"https://a.fr/\#bas"),
    ],
)  # fmt: skip
def test_reserved_characters_are_escaped(text: str, commentary: str) -> None:
    assert little_text.escape(text) == commentary
    assert little_text.plain(commentary) == text
    assert little_text.length(text) == len(commentary)


@given(text=st.lists(ALPHABET, max_size=60).map("".join))
def test_escaped_text_reaches_readers_whole(text: str) -> None:
    commentary = little_text.escape(text)
    assert practice_rules.shown(commentary) == commentary
    assert little_text.plain(commentary) == text


def test_mention_reads_as_its_name() -> None:
    shown = little_text.plain("Merci @[Café Rosa](urn:li:organization:2414183) !")
    assert shown == "Merci Café Rosa !"


def test_cut_text_is_noticed() -> None:
    assert little_text.cut_short("Venez ", "Venez (tous)")
    assert not little_text.cut_short("Venez  (tous)\n", "Venez (tous)")
    assert not little_text.cut_short("Autre", "Venez (tous)")


@pytest.mark.parametrize(
    ("name", "end", "alarm"),
    [
        ("202609", datetime(2027, 9, 15, tzinfo=UTC), datetime(2027, 7, 16, tzinfo=UTC)),
        ("202601", datetime(2027, 1, 15, tzinfo=UTC), datetime(2026, 11, 15, tzinfo=UTC)),
    ],
)
def test_version_lives_a_year_and_warns_two_months_before(
    name: str, end: datetime, alarm: datetime
) -> None:
    assert version.ends_at(name) == end
    assert version.warns_at(name) == alarm
    assert version.warning(name, alarm.replace(hour=0, minute=0)) != ""
    assert version.warning(name, alarm.replace(year=alarm.year - 1)) == ""
    assert "was due" in version.warning(name, end)


LONG = Post(id="p", title="Titre", body="Une phrase (entre) *deux*. " * 300, language="fr")


def test_text_counts_with_its_escapes() -> None:
    message = content.rendered(LONG, Part.POST)
    assert little_text.length(message.text) <= content.TEXT_LIMIT
    assert message.text.startswith("Titre\n\nUne phrase (entre) deux.")
    (problem,) = content.problems(message)
    assert (problem.code, problem.severity) == ("text-shortened", Severity.WARNING)


def test_link_is_an_article_whose_words_are_ours() -> None:
    post = Post(id="p", title="Titre", body="Le corps.", link="https://rosa.fr/p", summary="Bref.")
    message = content.rendered(post, Part.POST)
    assert message.text == "Le corps."
    assert content.body(message, "urn:x", [])["content"] == {
        "article": {"source": "https://rosa.fr/p", "title": "Titre", "description": "Bref."}
    }
    assert content.body(message, "urn:x", ["urn:i"])["content"]["article"]["thumbnail"] == "urn:i"


def test_link_beside_several_pictures_stands_in_the_text() -> None:
    media = tuple(Media(id=str(n), content_type="image/png", alt="x") for n in range(2))
    post = Post(id="p", body="Le corps.", link="https://rosa.fr/p", media=media)
    message = content.rendered(post, Part.POST)
    assert message.text == "Le corps.\n\nhttps://rosa.fr/p"
    images = content.body(message, "urn:x", ["urn:1", "urn:2"])["content"]["multiImage"]["images"]
    assert images == [{"id": "urn:1", "altText": "x"}, {"id": "urn:2", "altText": "x"}]


def test_poll_takes_the_nearest_duration() -> None:
    post = Post(id="p", body="?", poll=Poll(question="Quand ?", options=("A", "B"), days=5))
    message = content.rendered(post, Part.POST)
    poll = content.body(message, "urn:x", [])["content"]["poll"]
    assert poll["settings"]["duration"] == "THREE_DAYS"
    assert [p.code for p in content.problems(message)] == ["poll-duration"]


@pytest.mark.parametrize(
    ("post", "codes"),
    [
        (Post(id="p"), ["empty"]),
        (Post(id="p", body="x", media=(Media(id="m", content_type="video/mp4"),)), ["image-type"]),
        (
            Post(
                id="p",
                body="x",
                media=(
                    Media(
                        id="m", content_type="image/png", alt="y" * 5000, width=9000, height=9000
                    ),
                ),
            ),
            ["image-too-large", "alt-too-long"],
        ),
        (
            Post(id="p", body="x", media=(Media(id="m", content_type="image/png"),) * 21),
            ["too-many-images"] + ["alt-missing"] * 21,
        ),
        (
            Post(
                id="p",
                poll=Poll(question="q" * 141, options=("a",), days=3),
                media=(Media(id="m", content_type="image/png", alt="x"),),
            ),
            ["poll-question", "poll-options", "poll-media"],
        ),
    ],
)
def test_check_names_what_linkedin_cannot_carry(post: Post, codes: list[str]) -> None:
    problems = list(content.problems(content.rendered(post, Part.POST)))
    assert [problem.code for problem in problems] == codes
    assert all(problem.field and problem.remedy for problem in problems)


def test_variant_reroute_note_and_first_comment() -> None:
    post = Post(
        id="p",
        title="T",
        body="Corps",
        language="fr",
        first_comment="Premier",
        variants={"linkedin": Variant(body="Autre corps")},
        rerouted=Reroute(from_channel="facebook", from_name="Rosa"),
    )
    text = content.rendered(post, Part.POST).text
    assert text.startswith("Notre page Facebook")
    assert text.endswith("T\n\nAutre corps")
    assert content.rendered(post, Part.FIRST_COMMENT).text == "Premier"
