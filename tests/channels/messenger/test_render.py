"""A post as a chat message, and what Messenger cannot carry."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from channels.messenger.render import (
    TEMPLATE_LIMIT,
    TEXT_LIMIT,
    content,
    problems,
    rendered,
)
from channels.outcome import Severity
from channels.posts import Action, Media, Message, Part, Poll, Post, Reroute
from channels.words import utf16_length

POST = Post(id="p1", title="We open again", body="On **Monday** at nine.")
BOOK = Action(label="Book", url="https://cafe.example/book")
POLL = Poll(question="When do you come?", options=("Monday", "Tuesday"))


def codes(message: Message, severity: Severity = Severity.ERROR) -> list[str]:
    return [problem.code for problem in problems(message) if problem.severity is severity]


def test_plain_words() -> None:
    message = rendered(replace(POST, link="https://cafe.example/r"), Part.POST)
    assert message.text == "We open again\n\nOn Monday at nine.\n\nhttps://cafe.example/r"
    assert content(message) == {"text": message.text}
    assert list(problems(message)) == []


def test_a_poll_is_a_question_with_quick_replies() -> None:
    message = rendered(replace(POST, poll=POLL), Part.POST)
    assert message.text.endswith("On Monday at nine.\n\nWhen do you come?")
    replies = content(message)["quick_replies"]
    assert [reply["title"] for reply in replies] == ["Monday", "Tuesday"]
    assert json.loads(replies[1]["payload"]) == {"post": "p1", "answer": "Tuesday"}


def test_a_link_is_a_button_while_the_words_fit_a_template() -> None:
    built = content(rendered(replace(POST, actions=(BOOK,)), Part.POST))
    assert built["attachment"]["payload"]["buttons"] == [
        {"type": "web_url", "title": "Book", "url": "https://cafe.example/book"}
    ]
    long = replace(POST, body="A sentence. " * 60, actions=(BOOK,), poll=POLL)
    message = rendered(long, Part.POST)
    assert content(message).keys() == {"text", "quick_replies"}
    assert message.text.endswith("Book: https://cafe.example/book\n\nWhen do you come?")


@given(body=st.text(max_size=400).map(lambda text: text * 20), buttons=st.booleans())
@settings(max_examples=40, deadline=None)
def test_never_longer_than_messenger_takes(body: str, *, buttons: bool) -> None:
    post = replace(POST, body=body, poll=POLL, actions=(BOOK,) if buttons else ())
    message = rendered(post, Part.POST)
    limit = TEMPLATE_LIMIT if message.options.get("buttons") else TEXT_LIMIT
    assert utf16_length(message.text) <= limit
    assert message.text.endswith("When do you come?")


def test_a_reroute_says_why_it_comes_here() -> None:
    reroute = Reroute(from_channel="facebook", from_name="Le Petit Café")
    assert "Facebook" in rendered(replace(POST, rerouted=reroute), Part.POST).text


@pytest.mark.parametrize(
    ("post", "code", "field"),
    [
        (Post(id="p"), "empty", "body"),
        (replace(POST, actions=(Action(label="x" * 21),)), "label-too-long", "actions"),
        (replace(POST, actions=(Action(label=""),)), "label-too-long", "actions"),
        (replace(POST, actions=(Action(label="a"),) * 14), "too-many-actions", "actions"),
        (replace(POST, actions=(BOOK,) * 4), "too-many-actions", "actions"),
    ],
)
def test_what_messenger_cannot_carry(post: Post, code: str, field: str) -> None:
    (problem,) = [
        item for item in problems(rendered(post, Part.POST)) if item.severity is Severity.ERROR
    ]
    assert (problem.code, problem.field) == (code, field)
    assert problem.detail
    assert problem.remedy


def test_what_the_author_should_know() -> None:
    photo = Media(id="m", content_type="image/jpeg", path=Path("a.jpg"))
    assert codes(rendered(replace(POST, media=(photo,)), Part.POST), Severity.WARNING) == [
        "media-left-out"
    ]
    long = replace(POST, body="A sentence. " * 400)
    assert codes(rendered(long, Part.POST), Severity.WARNING) == ["text-shortened"]


def test_a_text_beyond_the_limit_is_refused_before_it_is_sent() -> None:
    assert codes(Message(post_id="p", text="x" * (TEXT_LIMIT + 1))) == ["text-too-long"]
