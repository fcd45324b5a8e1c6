"""Planning: who gets the post, and what stands in the way. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from channels.base import Account, Tools
from channels.http import HttpClient
from channels.posts import Kind, Media, Part, Post, Variant
from channels.registry import Registry
from scheduler.drafts import Draft
from scheduler.plan import BY_HAND, choose, make_plan, refuse_unfit
from scheduler.refusals import RefusedError
from scheduler.roster import Member

NOW = 1_000_000
REGISTRY = Registry(
    Tools(http=HttpClient(private_ok=False), now=lambda: datetime(2030, 1, 1, tzinfo=UTC))
)
POST = Post(id="p", title="We reopen", body="On **Monday**.", kind=Kind.ORDINARY)

ADAPTERS = {
    "blog": {"base_url": "https://site.example"},
    "newsletter": {
        "from_address": "hello@shop.example",
        "publisher": "The shop",
        "relays": [{"host": "mail.shop.example"}],
    },
    "facebook": {"page_id": "123456", "access_token": "t"},
    "linkedin": {"organization_id": "123456", "access_token": "t"},
    "messenger": {"page_id": "123456", "access_token": "t"},
    "mastodon": {"base_url": "https://social.example", "access_token": "t"},
    "bluesky": {"identifier": "shop.example", "app_password": "t"},
}


def member(name: str, adapter: str = "blog", **changes: Any) -> Member:
    channel = REGISTRY[adapter]
    settings = channel.settings_type.model_validate(ADAPTERS[adapter])
    plain = Member(
        account=Account(id=name, name=name, settings=settings),
        channel=channel,
        status="healthy",
        paused_until=0,
        pause_reason="",
        failures=0,
        max_concurrent=8,
        gap_us=0,
        version=1,
        policy={},
    )
    return replace(plain, **changes)


def _codes(post: Post, members: Sequence[Member]) -> list[str]:
    return [found.problem.code for found in make_plan(post, members, {}, NOW).problems]


def test_every_account_gets_its_own_message_and_its_fallbacks() -> None:
    plan = make_plan(POST, [member("site"), member("page", "facebook")], {"page": ["site"]}, NOW)
    assert [(one.member.id, one.fallbacks) for one in plan.deliveries] == [
        ("site", ()),
        ("page", ("site",)),
    ]
    assert plan.problems == ()


def test_a_first_comment_is_a_delivery_of_its_own_where_there_are_comments() -> None:
    post = replace(POST, first_comment="Come in.")
    plan = make_plan(post, [member("site"), member("page", "facebook")], {}, NOW)
    parts = [(one.member.id, one.part) for one in plan.deliveries]
    assert parts == [("site", Part.POST), ("page", Part.POST), ("page", Part.FIRST_COMMENT)]
    assert [found.problem.code for found in plan.problems] == ["no-first-comment"]


def test_an_account_that_waits_is_planned_and_said() -> None:
    assert _codes(POST, [member("site", status="access-lost")]) == ["account-waits"]
    assert _codes(POST, [member("site", paused_until=NOW + 1, pause_reason="throttled")]) == [
        "account-waits"
    ]
    assert _codes(POST, [member("site", paused_until=NOW)]) == []


SENTENCE = "We open again on Monday, with fresh bread and with everything else. "
PICTURE = Media(
    id="m", content_type="image/jpeg", alt="Bread", url="https://shop.example/m.jpg", size=1000,
    width=800, height=600, sha256="ab" * 32,
)  # fmt: skip


@pytest.mark.parametrize("adapter", ADAPTERS)
@pytest.mark.parametrize(
    "changes",
    [
        {"body": SENTENCE},
        {"body": SENTENCE * 3},
        {"body": SENTENCE * 6},
        {"body": SENTENCE * 25},
        {"body": SENTENCE * 40},
        {"body": SENTENCE * 2000},
        {"body": "(*_#_*) " * 180},
        {"body": "🎉 " * 400},
        {"body": "https://shop.example/a " * 12},
        {"body": "shop.example/a " * 15},
        {"body": "[a](https://shop.example) " * 11},
        {"body": "See [shop.example](https://elsewhere.example/x)."},
        {"body": "<script>nothing</script>"},
        {"body": "[//]: # (nothing)"},
        {"body": " - - - "},
        {"body": SENTENCE * 3, "media": (PICTURE,)},
        {"body": "Bread.", "media": (PICTURE,)},
        {"body": "", "media": (PICTURE,)},
        {"body": "", "summary": SENTENCE * 40},
        {"body": SENTENCE, "title": SENTENCE * 8, "link": "https://shop.example/" + "x" * 300},
        {"body": SENTENCE, "first_comment": SENTENCE * 300},
        {"body": SENTENCE, "media": (replace(PICTURE, content_type="audio/mpeg", alt=""),)},
    ],
)
def test_the_outline_has_the_problems_of_the_post(adapter: str, changes: dict[str, Any]) -> None:
    post = replace(POST, own_hosts=("shop.example",), blog_url="https://shop.example/p", **changes)
    channel = member("here", adapter).channel.channel
    varied = replace(POST, variants={channel: Variant(body=post.body, media=post.media)})
    for one in (post, varied):
        whole = make_plan(one, [member("here", adapter)], {}, NOW)
        outlined = make_plan(one, [member("here", adapter)], {}, NOW, outlined=True)
        assert outlined.problems == whole.problems
        assert len(outlined.deliveries) == len(whole.deliveries)


def test_a_long_text_is_not_read_where_it_can_be_no_problem() -> None:
    post = replace(POST, body="**Long.** " * 3000)
    for adapter in ("blog", "facebook"):
        (planned,) = make_plan(post, [member("here", adapter)], {}, NOW, outlined=True).deliveries
        assert "Long" not in planned.message.text + planned.message.html


@pytest.mark.parametrize(
    ("fields", "chosen"),
    [
        ({}, ["page", "site"]),
        ({"channels": ["blog"]}, ["resting", "site"]),
        ({"accounts": ["page"]}, ["page"]),
        ({"channels": ["facebook"], "accounts": ["site", "page"]}, ["page", "site"]),
    ],
)
def test_who_a_post_is_for(fields: dict[str, Any], chosen: list[str]) -> None:
    everyone = {
        one.id: one
        for one in (
            member("site"),
            member("page", "facebook", paused_until=NOW + 1, pause_reason="throttled"),
            member("resting", paused_until=NOW + 1, pause_reason=BY_HAND),
        )
    }
    found = choose(Draft(body="x", **fields), everyone, NOW)
    assert sorted(one.id for one in found) == chosen


def test_each_unknown_account_is_named() -> None:
    draft = Draft(body="x", channels=["blog", "pigeon"], accounts=["none"])
    with pytest.raises(RefusedError) as refused:
        choose(draft, {"site": member("site")}, NOW)
    assert [error.field for error in refused.value.errors] == ["channels[1]", "accounts[0]"]


def test_a_misfit_is_refused_when_named_and_left_out_when_not() -> None:
    post = replace(POST, media=(Media(id="m", content_type="audio/mpeg", alt=""),))
    plan = make_plan(post, [member("page", "facebook")], {}, NOW)
    assert plan.blocking
    assert plan.deliveries == ()
    for named in (True, False):
        with pytest.raises(RefusedError, match="does not fit"):
            refuse_unfit(plan, named=named)
