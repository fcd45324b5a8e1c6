"""The built-in blog's store, on both databases."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import update

from channels.base import Page
from channels.posts import Media
from scheduler.store.article_tables import pages
from scheduler.store.db import Database
from scheduler.store.pages import PageStore

NOON = datetime(2026, 5, 2, 12, 0, tzinfo=UTC)


def page(key: str = "delivery-1", slug: str = "we-reopen", **changes: object) -> Page:
    made = Page(
        key=key,
        account_id="account",
        post_id="post",
        slug=slug,
        title="We reopen",
        html="<p>On Tuesday.</p>",
        summary="On Tuesday.",
        language="en",
        tags=("news",),
        media=(
            Media(
                id="m1",
                content_type="image/jpeg",
                alt="The shop",
                width=1200,
                height=800,
                size=1,
                sha256="ab",
            ),
        ),
        published_at=NOON,
    )
    return replace(made, **changes)  # type: ignore[arg-type]  # field by field at each call


@pytest.fixture
def store(database: Database) -> PageStore:
    return PageStore(database)


async def test_a_page_reads_back_as_it_was_published(store: PageStore) -> None:
    assert await store.publish(page()) == "/blog/we-reopen"

    stored = await store.by_slug("we-reopen")

    assert stored is not None
    assert stored.page == page()
    assert stored.updated_at == NOON
    assert not stored.withdrawn
    assert await store.by_slug("another") is None


async def test_a_key_has_one_page_for_ever(store: PageStore) -> None:
    first = await store.publish(page())
    again = await store.publish(page(slug="other-words", title="Other words"))

    assert again == first == await store.find("delivery-1")
    assert await store.count() == 1


async def test_the_same_key_from_many_workers_at_once_makes_one_page(store: PageStore) -> None:
    paths = await asyncio.gather(*(store.publish(page()) for _ in range(8)))

    assert set(paths) == {"/blog/we-reopen"}
    assert await store.count() == 1


async def test_the_same_title_at_the_same_moment_makes_as_many_addresses(store: PageStore) -> None:
    paths = await asyncio.gather(*(store.publish(page(f"delivery-{n}")) for n in range(8)))

    assert sorted(paths) == [
        "/blog/we-reopen",
        *(f"/blog/we-reopen-{number}" for number in range(2, 9)),
    ]


async def test_a_slug_that_only_looks_alike_takes_no_number(store: PageStore) -> None:
    await store.publish(page("delivery-1", slug="we_reopen"))
    await store.publish(page("delivery-2", slug="we-reopen-soon"))

    assert await store.publish(page("delivery-3", slug="we-reopen")) == "/blog/we-reopen"


async def test_a_withdrawn_page_is_known_but_no_longer_listed(store: PageStore) -> None:
    await store.publish(page())

    assert await store.withdraw("delivery-1")
    assert not await store.withdraw("delivery-1")
    assert not await store.withdraw("unknown")

    stored = await store.by_slug("we-reopen")
    assert stored is not None
    assert stored.withdrawn
    assert await store.find("delivery-1") == "/blog/we-reopen"
    assert await store.publish(page()) == "/blog/we-reopen"
    assert await store.latest() == []
    assert await store.addresses() == []
    assert await store.count() == 0


async def test_the_newest_page_comes_first_and_pages_follow_on(store: PageStore) -> None:
    for day in range(5):
        await store.publish(
            page(f"key-{day}", f"day-{day}", published_at=NOON + timedelta(days=day))
        )

    newest = await store.latest(2)
    older = await store.latest(2, 2)

    assert [stored.page.slug for stored in newest + older] == ["day-4", "day-3", "day-2", "day-1"]
    assert [slug for slug, _ in await store.addresses()] == [
        "day-4", "day-3", "day-2", "day-1", "day-0",
    ]  # fmt: skip


async def test_an_address_told_beforehand_is_kept_for_its_page(store: PageStore) -> None:
    assert await store.address("delivery-1", "we-reopen", keep=False) == "/blog/we-reopen"
    assert await store.address("delivery-1", "we-reopen", keep=True) == "/blog/we-reopen"
    assert await store.address("delivery-2", "we-reopen", keep=False) == "/blog/we-reopen-2"

    assert await store.publish(page("delivery-2")) == "/blog/we-reopen-2"
    assert await store.publish(page("delivery-1", slug="renamed-since")) == "/blog/we-reopen"
    assert await store.address("delivery-1", "renamed-since", keep=True) == "/blog/we-reopen"


async def test_an_address_that_another_release_gave_away_is_replaced(
    store: PageStore, database: Database
) -> None:
    await store.address("delivery-1", "we-reopen", keep=True)
    await store.publish(page("delivery-2", slug="elsewhere"))
    async with database.write() as connection:
        await connection.execute(update(pages).values(slug="we-reopen"))

    assert await store.publish(page("delivery-1")) == "/blog/we-reopen-2"


async def test_addresses_asked_for_at_once_are_all_different(store: PageStore) -> None:
    paths = await asyncio.gather(
        *(store.address(f"delivery-{number}", "we-reopen", keep=True) for number in range(8))
    )
    assert len(set(paths)) == 8
