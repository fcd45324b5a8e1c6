"""The words of what was published are corrected: platforms asked for real, each answer told."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

import pytest
from aiohttp.test_utils import TestClient

from channels.sandbox.faults import FaultName
from scheduler.settings import Settings
from tests.engine.conftest import Engine, unhurried
from tests.web.support import ask, put

Api = TestClient[Any, Any]
EDITABLE = ("facebook", "linkedin", "mastodon", "blog.wordpress", "blog.ghost")
NEW = {"title": "We reopen on Tuesday", "body": "Not on Monday."}


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return unhurried(settings)


@pytest.fixture
def connected() -> Collection[str]:
    return {*EDITABLE, "bluesky", "newsletter"}


async def published(engine: Engine, *channels: str) -> str:
    post = await engine.post(*channels)
    for row in await engine.rows(post):
        if row.account_id == engine.accounts["newsletter"]:
            await put(engine.services, row.id, state="delivered", remote_id="there")
    async with engine.worker():
        await engine.settled(post, *["delivered"] * len(channels))
    return post


async def kinds(api: Api, post: str) -> list[str]:
    said = await ask(api, "GET", f"/posts/{post}/events")
    return [one["kind"] for one in said["events"] if ".edit" in one["kind"]]


async def test_the_words_change_wherever_a_channel_can(engine: Engine, api: Api) -> None:
    post = await published(engine, *EDITABLE, "blog", "bluesky", "newsletter")
    said = await ask(api, "POST", f"/posts/{post}/edit", NEW)
    fates = {one["account_id"]: one["fate"] for one in said["deliveries"]}
    kept = {engine.accounts["bluesky"], engine.accounts["newsletter"]}
    assert {one for one, fate in fates.items() if fate == "impossible"} == kept
    assert {fate for one, fate in fates.items() if one not in kept} == {"edited"}
    assert said["complete"] is False
    for platform in ("facebook", "linkedin", "mastodon"):
        (text,) = engine.ledger(platform)
        assert "Not on Monday." in text, platform
        assert "Come and see us." not in text
    article = next(row.url for row in await engine.rows(post) if "127.0.0.1:1/" in row.url)
    page = await (await api.get(article.removeprefix("http://127.0.0.1:1"))).text()
    assert "We reopen on Tuesday" in page
    read = await ask(api, "GET", f"/posts/{post}")
    assert (read["title"], read["content"]["body"]) == (NEW["title"], NEW["body"])
    assert (await kinds(api, post)).count("delivery.edited") == len(EDITABLE) + 1
    events = (await ask(api, "GET", f"/posts/{post}/events"))["events"]
    (changed,) = [one for one in events if one["kind"] == "post.changed"]
    assert changed["data"]["before"] == {"title": "We reopen", "body": "Come and see us."}


async def test_a_lost_answer_costs_another_click(engine: Engine, api: Api) -> None:
    post = await published(engine, "facebook")
    engine.fault("facebook", FaultName.ANSWER_LOST, times=1)
    said = await ask(api, "POST", f"/posts/{post}/edit", NEW)
    assert [one["fate"] for one in said["deliveries"]] == ["unconfirmed"]
    engine.mend("facebook")
    said = await ask(api, "POST", f"/posts/{post}/edit", NEW)
    assert said["complete"] is True
    assert await kinds(api, post) == ["delivery.edit_failed", "delivery.edited"]
    assert len(engine.ledger("facebook")) == 1


async def test_what_still_waits_goes_out_in_the_new_words(engine: Engine, api: Api) -> None:
    post = await engine.post("facebook", "mastodon", seconds=3600)
    first, second = await engine.rows(post)
    await put(engine.services, first.id, due_at=1)
    async with engine.worker():
        await engine.settled(post, "delivered", "scheduled")
        said = await ask(api, "POST", f"/posts/{post}/edit", NEW)
        assert sorted(one["fate"] for one in said["deliveries"]) == ["edited", "waiting"]
        await put(engine.services, second.id, due_at=1)
        await engine.settled(post, "delivered", "delivered")
    for platform in ("facebook", "mastodon"):
        (text,) = engine.ledger(platform)
        assert "Not on Monday." in text


async def test_nothing_changes_while_nobody_knows_what_was_published(
    engine: Engine, api: Api
) -> None:
    post = await published(engine, "facebook", "mastodon")
    doubtful = (await engine.rows(post))[0]
    await put(engine.services, doubtful.id, state="unconfirmed")
    problem = await ask(api, "POST", f"/posts/{post}/edit", NEW, status=409)
    assert "settle" in problem["errors"][0]["remedy"]
    assert (await ask(api, "GET", f"/posts/{post}"))["title"] == "We reopen"
    assert all("Come and see us." in engine.ledger(one)[0] for one in ("facebook", "mastodon"))


async def test_where_no_channel_can_nothing_is_changed(engine: Engine, api: Api) -> None:
    post = await published(engine, "newsletter", "bluesky")
    path = f"/api/v1/posts/{post}/edit"
    async with api.post(path, json=NEW, headers={"Accept-Language": "fr"}) as answer:
        problem = await answer.json()
        assert answer.status == 422
    assert "ce qui est envoyé à chacun garde les anciens mots" in {
        one["detail"] for one in problem["errors"]
    }
    assert (await ask(api, "GET", f"/posts/{post}"))["title"] == "We reopen"
    cancelled = await engine.post("facebook", seconds=3600)
    await ask(api, "POST", f"/posts/{cancelled}/cancel")
    await ask(api, "POST", f"/posts/{cancelled}/edit", NEW, status=409)
    await ask(api, "POST", "/posts/none/edit", NEW, status=404)


@pytest.mark.parametrize(
    ("words", "status"),
    [
        ({}, 422),
        ({"body": "", "title": ""}, 422),
        ({"body": "x" * 100_001}, 422),
        ({"link": "https://shop.example"}, 422),
        ({**NEW, "version": 7}, 409),
    ],
)
async def test_what_cannot_be_said_changes_nothing(
    engine: Engine, api: Api, words: dict[str, Any], status: int
) -> None:
    post = await published(engine, "facebook")
    await ask(api, "POST", f"/posts/{post}/edit", words, status=status)
    assert (await ask(api, "GET", f"/posts/{post}"))["version"] == 1
    assert "Come and see us." in engine.ledger("facebook")[0]


async def test_what_was_taken_down_stays_down(engine: Engine, api: Api) -> None:
    post = await published(engine, "facebook", "mastodon")
    (down, _) = await engine.rows(post)
    await ask(api, "POST", f"/deliveries/{down.id}/withdraw")
    said = await ask(api, "POST", f"/posts/{post}/edit", NEW)
    assert [one["fate"] for one in said["deliveries"]] == ["edited"]
    assert down.id not in {one["delivery_id"] for one in said["deliveries"]}


async def test_a_channel_with_words_of_its_own_is_not_called_corrected(
    engine: Engine, api: Api
) -> None:
    post = await engine.post("facebook", "mastodon", variants={"facebook": {"body": "For you."}})
    async with engine.worker():
        await engine.settled(post, "delivered", "delivered")
    said = await ask(api, "POST", f"/posts/{post}/edit", {"body": "Not on Monday."})
    fates = {one["channel"]: one["fate"] for one in said["deliveries"]}
    assert fates == {"facebook": "impossible", "mastodon": "edited"}
    said = await ask(api, "POST", f"/posts/{post}/edit", NEW)  # its title is the post's
    assert said["complete"] is True
    (text,) = engine.ledger("facebook")
    assert "We reopen on Tuesday" in text
    assert "For you." in text


async def test_a_page_corrects_and_says_what_keeps_the_old_words(engine: Engine, api: Api) -> None:
    post = await published(engine, "facebook", "bluesky")
    secret = str(api.session.headers["Authorization"]).removeprefix("Bearer ")
    async with api.post("/login", data={"token": secret}) as answer:
        found = re.search(r'name="word" value="([^"]+)"', await answer.text())
    assert found
    french, path = {"Accept-Language": "fr"}, f"/posts/{post}/edit"
    async with api.get(f"/posts/{post}", headers=french) as answer:
        assert f'href="{path}">Corriger les mots' in await answer.text()
    async with api.get(path, headers=french) as answer:
        page = await answer.text()
    assert "Come and see us." in page
    assert "<script" not in page
    version = re.search(r'name="version" value="(\d+)"', page)
    assert version
    form = {"word": found[1], "version": version[1], "title": "We\u2019re back", "body": "A\r\nB"}
    async with api.post(path, data={**form, "word": "x"}) as answer:
        assert answer.status == 403
    async with api.post(path, data={**form, "title": "", "body": ""}, headers=french) as answer:
        assert answer.status == 422
    async with api.post(path, data={**form, "version": "7"}, headers=french) as answer:
        assert (answer.status, "We\u2019re back" in await answer.text()) == (409, True)
    async with api.post(path, data=form, headers=french) as answer:
        said = await answer.text()
    assert "garde les anciens mots" in said
    assert "corrigé" in said
    (text,) = engine.ledger("facebook")
    assert "A\nB" in text
    assert (await ask(api, "GET", f"/posts/{post}"))["content"]["body"] == "A\nB"


VARIANTS = {"facebook": {"body": "For you."}, "bluesky": {"body": "For the blue."}}


async def test_words_for_one_channel_change_there_and_nowhere_else(
    engine: Engine, api: Api
) -> None:
    post = await engine.post("facebook", "mastodon", "bluesky", variants=VARIANTS)
    async with engine.worker():
        await engine.settled(post, *["delivered"] * 3)
    before = engine.ledger("mastodon")
    words = {"variants": {"facebook": {"body": "Only on Tuesday."}}}
    said = await ask(api, "POST", f"/posts/{post}/edit", words)
    assert [(one["channel"], one["fate"]) for one in said["deliveries"]] == [("facebook", "edited")]
    assert said["complete"] is True
    (text,) = engine.ledger("facebook")
    assert "Only on Tuesday." in text
    assert "For you." not in text
    assert engine.ledger("mastodon") == before
    read = await ask(api, "GET", f"/posts/{post}")
    assert read["content"]["variants"] == {**VARIANTS, "facebook": {"body": "Only on Tuesday."}}
    events = (await ask(api, "GET", f"/posts/{post}/events"))["events"]
    (changed,) = [one for one in events if one["kind"] == "post.changed"]
    assert changed["data"]["before"]["variants"]["facebook"]["body"] == "For you."
    back = {"variants": {"facebook": {"body": None}}}  # the post's own words
    await ask(api, "POST", f"/posts/{post}/edit", back)
    assert "Come and see us." in engine.ledger("facebook")[0]
    read = await ask(api, "GET", f"/posts/{post}")
    assert read["content"]["variants"] == {"bluesky": VARIANTS["bluesky"]}


@pytest.mark.parametrize(
    ("channel", "detail"),
    [
        ("bluesky", "this channel cannot change what it published"),
        ("newsletter", "what was sent to people one by one keeps the old words"),
        ("linkedin", "the post is not there"),
    ],
)
async def test_words_that_would_reach_nobody_are_refused(
    engine: Engine, api: Api, channel: str, detail: str
) -> None:
    post = await published(engine, "facebook", "bluesky", "newsletter")
    words = {"title": "New", "variants": {channel: {"body": "Elsewhere."}}}
    problem = await ask(api, "POST", f"/posts/{post}/edit", words, status=422)
    (error,) = problem["errors"]
    assert (error["field"], error["detail"]) == (f"variants.{channel}", detail)
    assert error["remedy"]
    assert (await ask(api, "GET", f"/posts/{post}"))["version"] == 1


async def test_words_for_one_channel_go_out_where_it_still_waits(engine: Engine, api: Api) -> None:
    post = await engine.post("facebook", "bluesky", seconds=3600, variants=VARIANTS)
    names = {account: channel for channel, account in engine.accounts.items()}
    first, second = sorted(await engine.rows(post), key=lambda row: names[row.account_id])[::-1]
    await put(engine.services, first.id, due_at=1)
    async with engine.worker():
        await engine.settled(post, "delivered", "scheduled")
        words = {"variants": {"bluesky": {"body": "Bluer."}}}
        said = await ask(api, "POST", f"/posts/{post}/edit", words)
        assert [one["fate"] for one in said["deliveries"]] == ["waiting"]
        await put(engine.services, second.id, due_at=1)
        await engine.settled(post, "delivered", "delivered")
    assert "Bluer." in engine.ledger("bluesky")[0]
    assert "For you." in engine.ledger("facebook")[0]


async def test_what_only_waits_is_corrected_by_the_same_word(engine: Engine, api: Api) -> None:
    post = await engine.post("facebook", "bluesky", seconds=3600)
    said = await ask(
        api, "POST", f"/posts/{post}/edit", {"variants": {"bluesky": {"body": "Blue"}}}
    )
    assert [(one["channel"], one["fate"]) for one in said["deliveries"]] == [("bluesky", "waiting")]
    assert said["complete"] is True
    for row in await engine.rows(post):
        await put(engine.services, row.id, due_at=1)
    async with engine.worker():
        await engine.settled(post, "delivered", "delivered")
    assert "Blue" in engine.ledger("bluesky")[0]
    assert "Come and see us." in engine.ledger("facebook")[0]


async def test_words_for_one_channel_of_a_scheduled_post_change(engine: Engine, api: Api) -> None:
    post = await engine.post("facebook", "mastodon", seconds=3600, variants=VARIANTS)
    words = {"variants": {"facebook": {"body": "Only on Tuesday."}}}
    changed = await ask(api, "PATCH", f"/posts/{post}", words)
    assert changed["content"]["variants"] == words["variants"]
    misspelt = {"variants": {"facebok": {"body": "Never read."}}}
    problem = await ask(api, "PATCH", f"/posts/{post}", misspelt, status=422)
    assert problem["errors"][0]["field"] == "variants.facebok"
    assert "facebook" in problem["errors"][0]["remedy"]
    assert (await ask(api, "GET", f"/posts/{post}"))["version"] == 2
    for row in await engine.rows(post):
        await put(engine.services, row.id, due_at=1)
    async with engine.worker():
        await engine.settled(post, "delivered", "delivered")
    assert "Only on Tuesday." in engine.ledger("facebook")[0]
    assert "Come and see us." in engine.ledger("mastodon")[0]


async def test_a_post_that_waits_leads_to_the_page_too(engine: Engine, api: Api) -> None:
    post = await engine.post("facebook", seconds=3600)
    secret = str(api.session.headers["Authorization"]).removeprefix("Bearer ")
    async with api.post("/login", data={"token": secret}) as answer:
        found = re.search(r'name="word" value="([^"]+)"', await answer.text())
    assert found
    path = f"/posts/{post}/edit"
    async with api.get(f"/posts/{post}") as answer:
        assert f'href="{path}"' in await answer.text()
    form = {"word": found[1], "version": "1", "title": "We reopen", "body": "Later."}
    async with api.post(path, data=form) as answer:
        assert answer.url.path == f"/posts/{post}"
    assert (await ask(api, "GET", f"/posts/{post}"))["content"]["body"] == "Later."
    await ask(api, "POST", f"/posts/{post}/cancel")
    async with api.get(f"/posts/{post}") as answer:
        assert f'href="{path}"' not in await answer.text()


async def test_the_page_corrects_what_one_channel_says(engine: Engine, api: Api) -> None:
    post = await engine.post("facebook", "mastodon", variants={"facebook": VARIANTS["facebook"]})
    async with engine.worker():
        await engine.settled(post, "delivered", "delivered")
    before = engine.ledger("mastodon")
    secret = str(api.session.headers["Authorization"]).removeprefix("Bearer ")
    async with api.post("/login", data={"token": secret}) as answer:
        found = re.search(r'name="word" value="([^"]+)"', await answer.text())
    assert found
    path = f"/posts/{post}/edit"
    async with api.get(path, headers={"Accept-Language": "fr"}) as answer:
        page = await answer.text()
    assert "Seulement sur facebook" in page
    assert "For you." in page
    form = {
        "word": found[1], "version": "1", "title": "We reopen", "body": "Come and see us.",
        "title.facebook": "", "body.facebook": "For all of you.",
    }  # fmt: skip
    engine.fault("facebook", FaultName.ANSWER_LOST, times=1)
    async with api.post(path, data=form) as answer:
        page = await answer.text()
    again = re.search(r'name="again" value="([^"]+)"', page)
    assert again
    assert again[1] == "body.facebook"
    engine.mend("facebook")
    async with api.post(path, data={**form, "version": "", "again": again[1]}) as answer:
        assert answer.url.path == f"/posts/{post}"
    assert "For all of you." in engine.ledger("facebook")[0]
    assert engine.ledger("mastodon") == before
    assert (await kinds(api, post)).count("delivery.edited") == 1
