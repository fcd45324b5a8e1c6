"""Placeholders, filled in the language of the post and on the day it goes out."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from channels.posts import Action, Poll, Post, Variant
from scheduler.opening import Hours, hours_in_words
from scheduler.placeholders import (
    Frame,
    UnknownPlaceholderError,
    fill,
    fill_text,
    names_in,
    states_date,
    texts_of,
    unknown_in,
)
from scheduler.placement import Anchor

FRAME = Frame(
    anchor=Anchor(datetime(2026, 5, 2, 9, 30), "Europe/Paris"), fields={"place": "rue Haute"}
)
THE_18TH = datetime(2026, 4, 18, 8, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        ("{{date}}", "fr", "samedi 2 mai 2026"),
        ("{{date}}", "en", "Saturday, May 2, 2026"),
        ("{{date}}", "en-GB", "Saturday, 2 May 2026"),
        ("{{day}}", "fr", "samedi 2 mai"),
        ("{{day}}", "en", "Saturday, May 2"),
        ("{{day}}", "es", "sábado, 2 de mayo"),
        ("{{ weekday }}", "de", "Samstag"),
        ("{{time}}", "fr", "9\u00a0h\u00a030"),
        ("{{time}}", "en", "9:30\u202fAM"),
        ("{{days_left}}", "fr", "14"),
        ("{{countdown}}", "fr", "dans 14 jours"),
        ("{{countdown}}", "en", "in 14 days"),
        ("{{countdown}}", "de", "in 14 Tagen"),
        ("{{place}}, {{place}}", "fr", "rue Haute, rue Haute"),
        ("{{date}}", "xx", "Saturday, May 2, 2026"),
    ],
)
def test_each_says_it_as_its_language_does(text: str, language: str, expected: str) -> None:
    assert fill_text(text, FRAME, THE_18TH, language) == expected


@pytest.mark.parametrize(
    ("days", "french", "english"),
    [
        (-1, "demain", "tomorrow"),
        (0, "aujourd’hui", "today"),
        (1, "hier", "yesterday"),
        (3, "il y a 3 jours", "3 days ago"),
    ],
)
def test_near_days_have_names(days: int, french: str, english: str) -> None:
    at = datetime(2026, 5, 2, 7, tzinfo=UTC) + timedelta(days=days)
    assert fill_text("{{countdown}}", FRAME, at, "fr") == french
    assert fill_text("{{countdown}}", FRAME, at, "en") == english


def test_days_are_counted_by_local_midnights_not_by_hours() -> None:
    before = datetime(2026, 5, 1, 21, 59, tzinfo=UTC)  # 23:59 in Paris
    after = datetime(2026, 5, 1, 22, 1, tzinfo=UTC)
    left = [fill_text("{{days_left}}", FRAME, at, "fr") for at in (before, after)]
    assert left == ["1", "0"]


def test_the_first_of_a_month_is_an_ordinal_in_french() -> None:
    frame = Frame(anchor=Anchor(datetime(2026, 5, 1, 9), "Europe/Paris"))
    assert fill_text("{{date}}, {{time}}", frame, THE_18TH, "fr") == (
        "vendredi 1er mai 2026, 9\u00a0h"
    )


def post_full_of(text: str) -> Post:
    return Post(
        id="p",
        title=text,
        body=text,
        summary=text,
        first_comment=text,
        language="fr",
        poll=Poll(question=text, options=(text, text)),
        actions=(Action(label=text),),
        variants={"blog": Variant(title=text, body=text)},
    )


def test_every_text_that_readers_see_is_filled() -> None:
    filled = fill(post_full_of("le {{day}}"), FRAME, THE_18TH)
    assert {text for _, text in texts_of(filled)} == {"le samedi 2 mai"}
    assert len(list(texts_of(filled))) == 10


def test_an_unknown_one_is_named_with_its_field() -> None:
    wrong = unknown_in(post_full_of("{{place}} {{plaec}}"), FRAME)
    assert ("title", "plaec") in wrong
    assert ("variants.blog.body", "plaec") in wrong
    assert {name for _, name in wrong} == {"plaec"}
    with pytest.raises(UnknownPlaceholderError, match="plaec"):
        fill(post_full_of("{{plaec}}"), FRAME, THE_18TH)


def test_hours_are_known_only_where_they_were_given() -> None:
    post = Post(id="p", body="{{hours}}")
    assert unknown_in(post, FRAME) == [("body", "hours")]


WEEK = Hours.model_validate(
    {
        **{day: ["09:00-12:30", "14:00-19:00"] for day in ("tuesday", "wednesday", "thursday")},
        "saturday": ["09:00-13:00"],
    }
)


def test_opening_hours_are_a_list_in_the_language_of_the_post() -> None:
    dash = "\u00a0–\u00a0"
    assert hours_in_words(WEEK, "fr").splitlines() == [
        "- lundi\u00a0: fermé",
        f"- du mardi au jeudi\u00a0: 9\u00a0h{dash}12\u00a0h\u00a030, 14\u00a0h{dash}19\u00a0h",
        "- vendredi\u00a0: fermé",
        f"- samedi\u00a0: 9\u00a0h{dash}13\u00a0h",
        "- dimanche\u00a0: fermé",
    ]
    assert hours_in_words(WEEK, "en").splitlines()[1] == (
        f"- Tuesday to Thursday: 9:00\u202fAM{dash}12:30\u202fPM, 2:00\u202fPM{dash}7:00\u202fPM"
    )
    assert hours_in_words(WEEK, "de").startswith("- Montag: –")


@pytest.mark.parametrize(
    "spans", [["12:00-09:00"], ["09:00-12:00", "11:00-14:00"], ["9-12"], ["09:00-09:00"]]
)
def test_hours_that_are_none_are_refused(spans: list[str]) -> None:
    with pytest.raises(ValidationError):
        Hours.model_validate({"monday": spans})


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("Nous rouvrons le 2 mai.", True),
        ("Nous rouvrons le 2\u00a0Mai.", True),
        ("Nous rouvrons le 12 mai.", False),
        ("Le 02/05/2026, enfin", True),
        ("{{date}}", False),
    ],
)
def test_a_date_written_by_hand_is_seen(body: str, said: bool) -> None:  # noqa: FBT001 -- a table
    post = Post(id="p", body=body, language="fr")
    assert states_date(post, date(2026, 5, 2)) is said


@given(st.text(alphabet="ab{} \n"))
def test_text_without_a_placeholder_stays_as_it_is(text: str) -> None:
    if not names_in(text):
        assert fill_text(text, FRAME, THE_18TH, "fr") == text


@given(
    st.datetimes(datetime(2020, 1, 1), datetime(2035, 1, 1)),
    st.datetimes(datetime(2020, 1, 1), datetime(2035, 1, 1)),
    st.sampled_from(["fr", "en", "de", "ja", "ar", "pt-BR"]),
)
def test_every_moment_can_be_said_in_every_language(
    anchor: datetime, at: datetime, language: str
) -> None:
    frame = Frame(anchor=Anchor(anchor, "Europe/Paris"))
    text = "{{date}} {{day}} {{time}} {{weekday}} {{days_left}} {{countdown}}"
    said = fill_text(text, frame, at.replace(tzinfo=UTC), language)
    assert "{" not in said
    assert said.strip()
