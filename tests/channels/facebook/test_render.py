"""A post in Facebook's words, and what Facebook cannot carry."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from channels.compose import hashtags
from channels.facebook.check import problems
from channels.facebook.render import (
    COMMENT_LIMIT,
    MAX_PHOTOS,
    TEXT_LIMIT,
    rendered,
)
from channels.outcome import Severity
from channels.posts import Media, Message, Part, Post, Reroute
from channels.words import utf16_length

PHOTO = Media(id="m", content_type="image/jpeg", alt="The terrace", path=Path("terrace.jpg"))
POST = Post(
    id="p1",
    title="We open again",
    body="On **Monday** at nine, [book a table](https://cafe.example/book).",
    link="https://cafe.example/reopening",
    tags=("petit café", "Lyon 3"),
)


def codes(message: Message, severity: Severity = Severity.ERROR) -> list[str]:
    return [problem.code for problem in problems(message) if problem.severity is severity]


def test_title_words_links_and_hashtags() -> None:
    message = rendered(POST, Part.POST)
    assert message.text == (
        "We open again\n\n"
        "On Monday at nine, book a table (https://cafe.example/book).\n\n"
        "#PetitCafé #Lyon3"
    )
    assert message.link == "https://cafe.example/reopening"


def test_beside_pictures_the_link_is_a_line_of_the_text() -> None:
    message = rendered(replace(POST, media=(PHOTO,)), Part.POST)
    assert message.link is None
    assert "\n\nhttps://cafe.example/reopening\n\n#PetitCafé" in message.text


def test_our_own_links_carry_the_campaign_and_others_do_not() -> None:
    post = replace(
        POST,
        link="https://elsewhere.example/",
        body="https://cafe.example/menu",
        blog_url="https://cafe.example/blog/reopening",
    )
    message = rendered(post, Part.POST)
    assert message.link == "https://elsewhere.example/"
    assert "https://cafe.example/menu?utm_source=facebook&utm_medium=social" in message.text


def test_a_reroute_says_why_readers_find_it_here() -> None:
    reroute = Reroute(from_channel="newsletter", from_name="News", note="Our mails are stuck.")
    assert "Our mails are stuck." in rendered(replace(POST, rerouted=reroute), Part.POST).text


def test_first_comment_is_the_comment_alone() -> None:
    message = rendered(
        replace(POST, first_comment="*Book* here", media=(PHOTO,)), Part.FIRST_COMMENT
    )
    assert (message.text, message.link, message.media) == ("Book here", None, ())
    long = rendered(replace(POST, first_comment="word " * 5000), Part.FIRST_COMMENT)
    assert utf16_length(long.text) <= COMMENT_LIMIT
    assert codes(long) == []


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        (("petit café",), "#PetitCafé"),
        (("2026",), ""),
        (("été 2026", "#déjà-vu"), "#Été2026 #DéjàVu"),
        (("", "!!!"), ""),
        (("iPhone",), "#IPhone"),
    ],
)
def test_hashtags(tags: tuple[str, ...], expected: str) -> None:
    assert hashtags(tags) == expected


@given(
    body=st.text(max_size=400).map(lambda text: text * 300),
    title=st.text(max_size=80),
    tags=st.lists(st.text(max_size=12), max_size=5),
)
@settings(max_examples=25, deadline=None)
def test_never_longer_than_facebook_takes(body: str, title: str, tags: list[str]) -> None:
    post = replace(POST, title=title, body=body, tags=tuple(tags))
    message = rendered(post, Part.POST)
    assert utf16_length(message.text) <= TEXT_LIMIT


def test_a_text_that_was_cut_says_so_and_leads_to_the_rest() -> None:
    post = replace(POST, body="A sentence. " * 8000, link=None, blog_url="https://cafe.example/b")
    message = rendered(post, Part.POST)
    assert codes(message, Severity.WARNING) == ["text-shortened"]
    assert "https://cafe.example/b" in message.text
    assert message.text.endswith("#PetitCafé #Lyon3")


def test_nothing_to_say_against_an_ordinary_post() -> None:
    assert list(problems(rendered(replace(POST, media=(PHOTO,)), Part.POST))) == []


@pytest.mark.parametrize(
    ("changes", "code", "field"),
    [
        ({"text": "x" * (TEXT_LIMIT + 1)}, "text-too-long", "body"),
        ({"text": "😀" * (TEXT_LIMIT // 2 + 1)}, "text-too-long", "body"),
        ({"text": ""}, "empty", "body"),
        ({"link": "ftp://cafe.example"}, "link-scheme", "link"),
        ({"media": (PHOTO,) * (MAX_PHOTOS + 1)}, "too-many-images", "media"),
        ({"media": (replace(PHOTO, content_type="image/webp"),)}, "image-type", "media[0]"),
        ({"media": (PHOTO, replace(PHOTO, path=None))}, "media-missing", "media[1]"),
        ({"media": (replace(PHOTO, size=4_000_001),)}, "image-too-large", "media[0]"),
        ({"media": (replace(PHOTO, content_type="audio/ogg"),)}, "media-type", "media[0]"),
        ({"media": (replace(PHOTO, content_type="video/mp4"),)}, "video-needs-url", "media[0]"),
        (
            {"media": (PHOTO, Media(id="v", content_type="video/mp4", url="https://c.example/v"))},
            "video-not-alone",
            "media",
        ),
    ],
)
def test_what_facebook_cannot_carry(changes: dict[str, Any], code: str, field: str) -> None:
    message = replace(Message(post_id="p", text="Hello"), **changes)
    (problem,) = [item for item in problems(message) if item.severity is Severity.ERROR]
    assert (problem.code, problem.field) == (code, field)
    assert problem.detail
    assert problem.remedy


@pytest.mark.parametrize(
    ("photo", "code"),
    [
        (replace(PHOTO, alt=""), "alt-missing"),
        (replace(PHOTO, content_type="image/png", size=1_000_001), "image-blurred"),
    ],
)
def test_what_the_author_should_know(photo: Media, code: str) -> None:
    message = Message(post_id="p", text="Hello", media=(photo,))
    assert codes(message, Severity.WARNING) == [code]
    assert codes(message) == []
