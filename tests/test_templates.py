"""The templates: complete in both languages, and written as people write."""

import re
from pathlib import Path

import pytest

from channels.posts import Post
from scheduler.clock import moment
from scheduler.content import to_content, to_post
from scheduler.opening import Hours
from scheduler.placeholders import Frame, fill, names_in, texts_of, unknown_in
from scheduler.placement import read_anchor
from scheduler.refusals import RefusedError
from scheduler.storyboard import StoryPost
from scheduler.templates import Template, template, templates

NAMES = {"reopening", "closing", "services", "online-event", "page-lost", "thank-you"}
NOW = moment(1_767_225_600_000_000)
ALL = sorted(templates().values(), key=lambda one: (one.name, one.language))
FRENCH = [one for one in ALL if one.language == "fr"]


def as_post(story: StoryPost) -> Post:
    row = {
        "id": "p",
        "title": story.title,
        "kind": story.kind,
        "content": to_content(story, {}),
        "due_at": 0,
    }
    return to_post(row, Path())


def frame(of: Template) -> Frame:
    return Frame(
        anchor=read_anchor("2026-05-02T09:00", "Europe/Paris", NOW),
        fields={field.name: field.example for field in of.fields},
        hours=Hours(monday=("09:00-12:00",)) if of.hours else None,
    )


def named(one: Template) -> str:
    return f"{one.name}-{one.language}"


def test_each_is_there_in_french_and_english() -> None:
    assert set(templates()) == {(name, language) for name in NAMES for language in ("en", "fr")}


@pytest.mark.parametrize("name", sorted(NAMES))
def test_both_languages_tell_the_same_story(name: str) -> None:
    french, english = (template(name, language) for language in ("fr", "en"))
    assert [p.when for p in french.posts] == [p.when for p in english.posts]
    assert [(p.kind, p.late_policy) for p in french.posts] == [
        (p.kind, p.late_policy) for p in english.posts
    ]
    assert [f.name for f in french.fields] == [f.name for f in english.fields]
    assert french.hours == english.hours


@pytest.mark.parametrize("one", ALL, ids=named)
def test_its_fields_fill_all_it_says_and_none_is_asked_in_vain(one: Template) -> None:
    posts = [as_post(post) for post in one.posts]
    used = {name for post in posts for _, text in texts_of(post) for name in names_in(text)}
    assert [unknown_in(post, frame(one)) for post in posts] == [[]] * len(posts)
    assert {field.name for field in one.fields} <= used
    assert one.hours == ("hours" in used)
    for post in posts:
        filled = fill(post, frame(one), NOW)
        assert not any("{{" in text for _, text in texts_of(filled))


@pytest.mark.parametrize("one", FRENCH, ids=named)
def test_french_is_set_as_french_is(one: Template) -> None:
    texts = [one.title, one.summary, *(text for f in one.fields for text in (f.label, f.example))]
    texts += [text for post in one.posts for text in (post.label, post.title, post.body)]
    for text in texts:
        prose = re.sub(r"https?://\S+|\{\{.*?\}\}", "", text)
        assert "'" not in prose
        assert '"' not in prose
        assert not re.search(r"[^\u00a0\u202f][;!?»]|(?<![\u00a0\u202f]):", prose), prose
        assert not re.search(r"«[^\u00a0\u202f]", prose), prose


def test_a_regional_language_gets_the_nearest() -> None:
    assert template("reopening", "fr-CA").language == "fr"


@pytest.mark.parametrize(
    ("name", "language", "field"), [("reopenin", "fr", "template"), ("reopening", "de", "language")]
)
def test_what_there_is_not_is_refused_with_what_there_is(
    name: str, language: str, field: str
) -> None:
    with pytest.raises(RefusedError) as refused:
        template(name, language)
    assert refused.value.errors[0].field == field
    assert "one of" in refused.value.errors[0].remedy
