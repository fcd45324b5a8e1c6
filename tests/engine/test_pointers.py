"""Shortened texts lead to the article that the same post has on the blog."""

from __future__ import annotations

from typing import Any

from aiohttp.test_utils import TestClient
from sqlalchemy import update

from channels.sandbox.faults import FaultName
from scheduler.limits import FOREVER
from scheduler.store.tables import accounts, deliveries
from tests.engine.conftest import Engine

LONG = "We open again on Monday at nine, with fresh bread. " * 80
HOME = "http://127.0.0.1:1/blog"


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
