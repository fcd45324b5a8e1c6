"""A post in a chat message: short plain text, quick replies, buttons. Pure.

A message with link buttons is a template, which takes 640 characters; a longer text keeps its
words and carries the addresses as lines instead.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from channels.compose import compose, empty_problem, shortened_problem
from channels.outcome import Problem, Severity
from channels.posts import Action, Message, Part, Post
from channels.words import campaign_rewrite, utf16_length

TEXT_LIMIT = 2000
TEMPLATE_LIMIT = 640
MAX_QUICK_REPLIES = 13
MAX_BUTTONS = 3
LABEL_LIMIT = 20


def rendered(post: Post, part: Part) -> Message:
    """What will be sent. `options` holds `quick_replies` (title, payload) and `buttons` (title,
    url), each only when there are any."""
    rewrite = campaign_rewrite(post, source="messenger")
    urls = [(action.label, rewrite(action.url)) for action in post.actions if action.url]
    question = post.poll.question if post.poll else ""
    words = partial(compose, post, measure=utf16_length, rewrite=rewrite, part=part)
    short = words(limit=TEMPLATE_LIMIT - _length_before(question))
    as_buttons = bool(urls) and not short.shortened
    links = "" if as_buttons else "\n".join(f"{label}: {url}" for label, url in urls)
    closing = _joined(links, question)
    text = short if as_buttons else words(limit=TEXT_LIMIT - _length_before(closing))
    options: dict[str, Any] = {}
    if text.shortened:
        options["shortened"] = True
    if replies := _quick_replies(post):
        options["quick_replies"] = replies
    if as_buttons:
        options["buttons"] = [{"title": label, "url": url} for label, url in urls]
    return Message(
        post_id=post.id,
        text=_joined(text.text, closing),
        title=post.title,
        link=rewrite(post.link) if post.link else None,
        media=post.media,
        language=post.language,
        part=part,
        options=options,
    )


def _length_before(closing: str) -> int:
    """What the closing takes of the limit, the gap before it included."""
    return utf16_length(closing) + 2 if closing else 0


def _joined(*parts: str) -> str:
    return "\n\n".join(part for part in parts if part)


def _quick_replies(post: Post) -> list[dict[str, str]]:
    """The answers of a poll, then the actions that lead nowhere. Each payload says by itself what
    was answered to what, since it may come back days later."""
    answers = [*(post.poll.options if post.poll else ()), *_plain_labels(post.actions)]
    return [
        {"title": answer, "payload": json.dumps({"post": post.id, "answer": answer})}
        for answer in answers
    ]


def _plain_labels(actions: Sequence[Action]) -> list[str]:
    return [action.label for action in actions if not action.url]


def content(message: Message) -> dict[str, Any]:
    """The API's `message` object, still without `metadata`."""
    options: Mapping[str, Any] = message.options
    built: dict[str, Any] = {}
    if options.get("buttons"):
        buttons = [{"type": "web_url", **button} for button in options["buttons"]]
        template = {"template_type": "button", "text": message.text, "buttons": buttons}
        built["attachment"] = {"type": "template", "payload": template}
    else:
        built["text"] = message.text
    if options.get("quick_replies"):
        built["quick_replies"] = [
            {"content_type": "text", **reply} for reply in options["quick_replies"]
        ]
    return built


def problems(message: Message) -> Sequence[Problem]:
    """What Messenger cannot carry of this message as it stands."""
    buttons: Sequence[Mapping[str, str]] = message.options.get("buttons", ())
    replies: Sequence[Mapping[str, str]] = message.options.get("quick_replies", ())
    limit = TEMPLATE_LIMIT if buttons else TEXT_LIMIT
    found = []
    if utf16_length(message.text) > limit:
        found.append(
            Problem(
                code="text-too-long",
                detail=f"Messenger takes {limit:,} characters.",
                field="body",
                remedy="Shorten the text, or give Messenger a shorter variant.",
            )
        )
    if "shortened" in message.options:
        found.append(shortened_problem(TEXT_LIMIT))
    if not message.text:
        found.append(empty_problem())
    if len(replies) > MAX_QUICK_REPLIES:
        found.append(_too_many("quick replies", MAX_QUICK_REPLIES))
    if len(buttons) > MAX_BUTTONS:
        found.append(_too_many("buttons", MAX_BUTTONS))
    found += [
        Problem(
            code="label-too-long",
            detail=f"Messenger shows {LABEL_LIMIT} characters of “{item['title']}”.",
            field="actions",
            remedy=f"Use at most {LABEL_LIMIT} characters.",
        )
        for item in (*replies, *buttons)
        if not 0 < utf16_length(item["title"]) <= LABEL_LIMIT
    ]
    if message.media:
        found.append(
            Problem(
                code="media-left-out",
                detail="Messenger gets the words only.",
                field="media",
                remedy="Add a link to a page that shows the pictures.",
                severity=Severity.WARNING,
            )
        )
    return found


def _too_many(what: str, most: int) -> Problem:
    return Problem(
        code="too-many-actions",
        detail=f"Messenger takes {most} {what}.",
        field="actions",
        remedy=f"Keep {most}.",
    )
