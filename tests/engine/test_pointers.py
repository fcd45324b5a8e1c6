"""Shortened texts lead to the article that the same post has on the blog."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp.test_utils import TestClient
from sqlalchemy import update

from channels.sandbox.faults import FaultName
from channels.sandbox.server import PracticeServer
from scheduler.limits import FOREVER
from scheduler.settings import Settings
from scheduler.store.tables import accounts, deliveries
from tests.engine.conftest import Engine, client_of, opened, unhurried

LONG = "We open again on Monday at nine, with fresh bread. " * 80
HOME = "http://127.0.0.1:1/blog"
TAIL = re.compile("we-reopen-[0-9a-f]{12}")


def _said(engine: Engine) -> str:
    (text,) = engine.ledger("linkedin")
    return text.replace("\\", "")


async def _due_now(engine: Engine, channel: str) -> None:
    async with engine.services.database.write() as connection:
        await connection.execute(
            update(deliveries)
            .where(deliveries.c.account_id == engine.accounts[channel])
            .values(due_at=engine.services.clock.micros())
        )


async def test_a_short_text_leads_to_the_article_that_leaves_with_it(
    engine: Engine, api: TestClient[Any, Any]
) -> None:
    wanted = {
        "title": "We reopen",
        "body": LONG,
        "accounts": [engine.accounts["linkedin"], engine.accounts["blog"]],
    }
    async with api.post("/api/v1/posts/preview", json=wanted) as answer:
        preview = await answer.json()
    (shown,) = [leg["text"] for leg in preview["deliveries"] if leg["channel"] == "linkedin"]
    async with engine.worker():
        post = await engine.post("linkedin", "blog", body=LONG)
        rows = await engine.settled(post, "delivered", "delivered")
    (blog,) = [row for row in rows if row.account_id == engine.accounts["blog"]]
    assert blog.url == f"{HOME}/we-reopen"
    assert f"Read more: {blog.url}?utm_source=linkedin" in _said(engine)
    assert _said(engine) == shown.replace("\\", "")


async def test_an_article_of_the_same_title_has_an_address_of_its_own(engine: Engine) -> None:
    async with engine.worker():
        first = await engine.post("blog", body=LONG)
        await engine.settled(first, "delivered")
        second = await engine.post("linkedin", "blog", body=LONG)
        rows = await engine.settled(second, "delivered", "delivered")
    assert f"{HOME}/we-reopen-2" in {row.url for row in rows}
    assert f"{HOME}/we-reopen-2?utm" in _said(engine)


async def test_an_article_that_stands_already_is_named_as_it_stands(engine: Engine) -> None:
    async with engine.worker():
        post = await engine.post("linkedin", "blog", body=LONG, seconds=3600)
        await _due_now(engine, "blog")
        await engine.settled(post, "delivered", "scheduled")
        await _due_now(engine, "linkedin")
        rows = await engine.settled(post, "delivered", "delivered")
    assert f"{HOME}/we-reopen" in {row.url for row in rows}
    assert f"{HOME}/we-reopen?utm" in _said(engine)


async def test_nobody_is_sent_to_an_article_that_comes_later(engine: Engine) -> None:
    async with engine.worker():
        post = await engine.post("linkedin", "blog", body=LONG, seconds=3600)
        await _due_now(engine, "linkedin")
        await engine.settled(post, "delivered", "scheduled")
    assert "Read more" not in _said(engine)


async def test_nobody_is_sent_to_an_article_that_was_cancelled(engine: Engine) -> None:
    post = await engine.post("linkedin", "blog", body=LONG)
    for row in await engine.rows(post):
        if row.account_id == engine.accounts["blog"]:
            await engine.services.desk.cancel(row.id, "tests")
    async with engine.worker():
        await engine.settled(post, "delivered", "cancelled")
    assert "Read more" not in _said(engine)


async def test_nobody_is_sent_to_an_article_that_has_to_wait(engine: Engine) -> None:
    async with engine.services.database.write() as connection:
        await connection.execute(
            update(accounts)
            .where(accounts.c.id == engine.accounts["blog"])
            .values(paused_until=FOREVER, pause_reason="by hand")
        )
    async with engine.worker():
        post = await engine.post("linkedin", "blog", body=LONG)
        await engine.settled(post, "delivered", "held")
    assert "Read more" not in _said(engine)


@pytest.fixture
async def abroad(settings: Settings, practice: PracticeServer) -> AsyncIterator[Engine]:
    """With a blog that a network is in front of."""
    here = unhurried(settings).model_copy(update={"article_patience": 60})
    async with opened(here, practice, connected={"linkedin", "blog.wordpress"}) as engine:
        yield engine


@pytest.fixture
async def hurried(settings: Settings, practice: PracticeServer) -> AsyncIterator[Engine]:
    """As abroad, where a text does not wait long for its article."""
    here = unhurried(settings).model_copy(update={"article_patience": 2})
    async with opened(here, practice, connected={"linkedin", "blog.wordpress"}) as engine:
        yield engine


async def test_a_short_text_waits_until_its_article_stands(abroad: Engine) -> None:
    abroad.fault("wordpress", FaultName.SLOW, seconds=0.2)
    async with abroad.worker():
        post = await abroad.post("linkedin", "blog.wordpress", body=LONG)
        rows = await abroad.settled(post, "delivered", "delivered")
    (blog,) = [row for row in rows if row.account_id == abroad.accounts["blog.wordpress"]]
    assert f"{TAIL.search(blog.url)[0]}&utm_source=linkedin" in _said(abroad)  # type: ignore[index]
    (article,) = abroad.practice.ledger.entries("wordpress", kind="post")
    (text,) = abroad.practice.ledger.entries("linkedin", kind="post")
    assert article.created_at < text.created_at


async def test_nobody_is_sent_to_an_article_that_is_refused_as_they_leave(abroad: Engine) -> None:
    abroad.fault("wordpress", FaultName.REJECTED)
    async with abroad.worker():
        post = await abroad.post("linkedin", "blog.wordpress", body=LONG)
        await abroad.settled(post, "delivered", "failed")
    assert "Read more" not in _said(abroad)
    assert _said(abroad).startswith("We reopen")


async def test_nobody_waits_longer_than_that_for_an_article(hurried: Engine) -> None:
    hurried.fault("wordpress", FaultName.SERVER_ERROR)
    async with hurried.worker():
        post = await hurried.post("linkedin", "blog.wordpress", body=LONG)
        rows = await hurried.until(post, lambda rows: any(r.state == "delivered" for r in rows))
    (text,) = [row for row in rows if row.state == "delivered"]
    assert text.account_id == hurried.accounts["linkedin"]
    assert "Read more" not in _said(hurried)


async def test_who_waited_for_an_article_in_vain_waits_for_no_second_gap(hurried: Engine) -> None:
    hurried.fault("wordpress", FaultName.SERVER_ERROR)
    async with hurried.services.database.write() as connection:
        linkedin = accounts.c.id == hurried.accounts["linkedin"]
        await connection.execute(update(accounts).where(linkedin).values(gap_ms=60_000))
    async with hurried.worker():
        post = await hurried.post("linkedin", "blog.wordpress", body=LONG)
        await hurried.until(post, lambda rows: "delivered" in {row.state for row in rows})
    assert "Read more" not in _said(hurried)


async def test_whole_texts_wait_for_no_article(abroad: Engine) -> None:
    abroad.fault("wordpress", FaultName.HANG)
    async with abroad.worker():
        post = await abroad.post("linkedin", "blog.wordpress")
        await abroad.until(post, lambda rows: any(r.state == "delivered" for r in rows))
        states = {row.account_id: row.state for row in await abroad.rows(post)}
    assert states[abroad.accounts["linkedin"]] == "delivered"
    assert states[abroad.accounts["blog.wordpress"]] != "delivered"


async def test_the_preview_crosses_out_what_is_not_chosen_yet(abroad: Engine) -> None:
    chosen = [abroad.accounts[one] for one in ("linkedin", "blog.wordpress")]
    wanted = {"title": "We reopen", "body": LONG, "accounts": chosen}
    async with (
        client_of(abroad) as client,
        client.post("/api/v1/posts/preview", json=wanted) as answer,
    ):
        preview = await answer.json()
    (shown,) = [leg["text"] for leg in preview["deliveries"] if leg["channel"] == "linkedin"]
    async with abroad.worker():
        post = await abroad.post("linkedin", "blog.wordpress", body=LONG)
        await abroad.settled(post, "delivered", "delivered")
    assert "we-reopen-xxxxxxxxxxxx" in shown
    said = _said(abroad)
    (tail,) = TAIL.findall(said)
    assert said.replace(tail, "we-reopen-xxxxxxxxxxxx") == shown.replace("\\", "")


async def test_what_left_with_a_link_is_found_with_it(engine: Engine) -> None:
    """The blog's part changes nothing any more about words that may be out."""
    engine.fault("linkedin", FaultName.ANSWER_LOST, times=1)
    async with engine.worker():
        post = await engine.post("linkedin", "blog", body=LONG)
        await engine.until(post, lambda rows: any(r.state == "unconfirmed" for r in rows))
        rows = await engine.settled(post, "delivered", "delivered")
    assert any("found on the platform" in row.cause for row in rows)
    assert "Read more" in _said(engine)


async def test_our_own_links_carry_the_tags_that_the_preview_shows(
    engine: Engine, api: TestClient[Any, Any]
) -> None:
    host = engine.services.settings.own_hosts[0]
    words: dict[str, Any] = {"body": f"See http://{host}/menu and https://other.example/x."}
    wanted = {**words, "title": "We reopen", "accounts": [engine.accounts["facebook"]]}
    async with api.post("/api/v1/posts/preview", json=wanted) as answer:
        (shown,) = [leg["text"] for leg in (await answer.json())["deliveries"]]
    async with engine.worker():
        post = await engine.post("facebook", **words)
        await engine.settled(post, "delivered")
        plain = await engine.post("facebook", **words, title="Again", campaign_tags=False)
        await engine.settled(plain, "delivered")
    tagged, untagged = engine.ledger("facebook")
    assert f"http://{host}/menu?utm_source=facebook" in tagged
    assert tagged == shown
    assert "utm_" not in untagged
