"""The built-in blog: words in, a page out, once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import ValidationError

from channels.abilities import Edits, Withdraws
from channels.base import Account, Publishes, Tools
from channels.blog.adapter import BlogAdapter, BlogSettings
from channels.blog.article import article, own_slug
from channels.http import HttpClient
from channels.outcome import (
    AccessLost,
    Delivered,
    Finding,
    HealthStatus,
    Rejected,
    Severity,
)
from channels.posts import Action, Media, Poll, Post, Reroute, Variant
from scheduler.store.db import Database
from scheduler.store.migrate import migrate
from scheduler.store.pages import PageStore

NOON = datetime(2026, 5, 2, 12, 0, tzinfo=UTC)
ACCOUNT = Account(
    id="blog-1", name="The shop", settings=BlogSettings(base_url="https://shop.example/")
)
POST = Post(
    id="post-1",
    title="We reopen on Tuesday",
    body="Doors open at **nine**.\n\nSee <script>alert(1)</script> you [there](https://a.example).",
    media=(Media(id="m", content_type="image/jpeg", alt="The door", sha256="ab", url=None),),
)


@pytest.fixture
async def pages(tmp_path: Path) -> AsyncIterator[PageStore]:
    database = Database(f"sqlite+aiosqlite:///{tmp_path / 'site.db'}")
    await migrate(database)
    yield PageStore(database)
    await database.close()


@pytest.fixture
async def blog(pages: PageStore) -> AsyncIterator[BlogAdapter]:
    async with HttpClient(private_ok=True) as http:
        yield BlogAdapter(Tools(http=http, now=lambda: NOON, site=pages))


async def test_a_post_becomes_a_page(blog: BlogAdapter, pages: PageStore) -> None:
    message = blog.render(POST, ACCOUNT)
    outcome = await blog.send(message, ACCOUNT, key="key-1")

    assert isinstance(blog, Publishes)
    assert isinstance(outcome, Delivered)
    assert outcome.url == "https://shop.example/blog/we-reopen-on-tuesday"
    stored = await pages.by_slug("we-reopen-on-tuesday")
    assert stored is not None
    assert "<strong>nine</strong>" in stored.page.html
    assert "<script" not in stored.page.html
    assert stored.page.published_at == NOON
    assert stored.page.account_id == "blog-1"
    assert stored.page.media == POST.media


async def test_sending_twice_publishes_once(blog: BlogAdapter, pages: PageStore) -> None:
    message = blog.render(POST, ACCOUNT)

    assert await blog.find(message, ACCOUNT, key="key-1", since=NOON) is Finding.ABSENT
    first = await blog.send(message, ACCOUNT, key="key-1")
    again = await blog.send(message, ACCOUNT, key="key-1")

    assert first == again == await blog.find(message, ACCOUNT, key="key-1", since=NOON)
    assert await pages.count() == 1


async def test_a_withdrawn_page_goes_and_stays_gone(blog: BlogAdapter, pages: PageStore) -> None:
    message = blog.render(POST, ACCOUNT)
    await blog.send(message, ACCOUNT, key="key-1")

    assert isinstance(blog, Edits)
    assert isinstance(blog, Withdraws)
    for _ in range(2):
        assert isinstance(await blog.withdraw("key-1", ACCOUNT), Delivered)
    await blog.send(message, ACCOUNT, key="key-1")
    assert await pages.count() == 0


async def test_a_correction_keeps_the_address(blog: BlogAdapter, pages: PageStore) -> None:
    sent = await blog.send(blog.render(POST, ACCOUNT), ACCOUNT, key="key-1")
    better = blog.render(replace(POST, title="We reopen on Friday", body="At ten."), ACCOUNT)

    assert await blog.edit(better, ACCOUNT, remote_id="key-1") == sent

    stored = await pages.by_slug("we-reopen-on-tuesday")
    assert stored is not None
    assert (stored.page.title, stored.page.html) == ("We reopen on Friday", "<p>At ten.</p>")
    assert stored.page.published_at == NOON < stored.updated_at
    assert isinstance(await blog.edit(better, ACCOUNT, remote_id="key-2"), Rejected)


async def test_a_page_never_misses_its_picture(
    blog: BlogAdapter, pages: PageStore, tmp_path: Path
) -> None:
    lost = Media(id="m", content_type="image/png", alt="Lost", path=tmp_path / "lost")
    message = blog.render(replace(POST, media=(lost,)), ACCOUNT)

    outcome = await blog.send(message, ACCOUNT, key="key-1")

    assert isinstance(outcome, Rejected)
    assert outcome.problem.code == "media-missing"
    assert await pages.count() == 0


async def test_a_title_without_latin_letters_still_has_an_address(blog: BlogAdapter) -> None:
    message = blog.render(Post(id="p", title="再開します", body="火曜日"), ACCOUNT)
    outcome = await blog.send(message, ACCOUNT, key="key-1")

    assert isinstance(outcome, Delivered)
    assert outcome.url == f"https://shop.example/blog/{own_slug(message, 'key-1')}"


async def test_without_a_store_a_person_is_told(pages: PageStore) -> None:
    async with HttpClient(private_ok=True) as http:
        blog = BlogAdapter(Tools(http=http, now=lambda: NOON))
        message = blog.render(POST, ACCOUNT)

        assert isinstance(await blog.send(message, ACCOUNT, key="k"), AccessLost)
        assert await blog.find(message, ACCOUNT, key="k", since=NOON) is Finding.UNKNOWN
        assert isinstance(await blog.edit(message, ACCOUNT, remote_id="k"), AccessLost)
        assert isinstance(await blog.withdraw("k", ACCOUNT), AccessLost)
        assert (await blog.probe(ACCOUNT)).status is HealthStatus.ACCESS_LOST


async def test_probing_says_where_the_site_is(blog: BlogAdapter) -> None:
    health = await blog.probe(ACCOUNT)

    assert health.status is HealthStatus.HEALTHY
    assert health.detail == "https://shop.example/blog"


@pytest.mark.parametrize("address", ["shop.example", "ftp://shop.example", "https://", ""])
def test_the_address_has_to_be_one(address: str) -> None:
    with pytest.raises(ValidationError, match=r"https://www\.example\.com"):
        BlogSettings(base_url=address)


def test_a_post_without_a_title_is_named_by_its_first_sentence() -> None:
    message = article(Post(id="p", body="We are *open* again. Come in!\n\nMore."))

    assert message.title == "We are open again. Come in!"
    assert message.slug == "we-are-open-again-come-in"
    assert message.summary == "We are open again. Come in! More."


def test_a_summary_is_made_of_prose() -> None:
    body = "We are **open** again.\nCome in!\n\n## Hours\n\n- Monday: 9"
    assert article(Post(id="p", title="t", body=body)).summary == "We are open again. Come in!"
    assert (
        article(Post(id="p", title="t", body="- Monday\n- Friday")).summary == "• Monday • Friday"
    )


def test_what_else_the_post_carries_is_in_the_article() -> None:
    message = article(
        Post(
            id="p",
            body="Hello",
            link="https://shop.example/menu",
            poll=Poll(question="Tea <or> coffee?", options=("Tea", "Coffee")),
            actions=(Action(label="Book [now]", url="https://book.example/?a=1&b=2"),),
            rerouted=Reroute(from_channel="facebook", from_name="La Page"),
        )
    )

    assert message.html.startswith("<p><em>Our Facebook page")
    assert "<strong>Tea &lt;or&gt; coffee?</strong>" in message.html
    assert "<li>Coffee</li>" in message.html
    assert 'href="https://shop.example/menu"' in message.html
    assert 'href="https://book.example/?a=1&amp;b=2"' in message.html
    assert "Book [now]</a>" in message.html


def test_a_link_that_the_body_has_is_not_repeated() -> None:
    link = "https://shop.example/menu"
    message = article(Post(id="p", body=f"Our menu: {link}", link=link))

    assert message.html.count("<a ") == 1


def test_a_link_with_a_script_in_it_is_no_link() -> None:
    message = article(Post(id="p", body="Hello", link="javascript:alert(1)"))

    assert "href" not in message.html


def test_the_authors_words_for_the_blog_win() -> None:
    post = Post(id="p", title="Short", body="Short", variants={"blog": Variant(title="Long")})

    assert article(post).title == "Long"


async def test_what_readers_would_miss_is_said_before(blog: BlogAdapter) -> None:
    post = Post(
        id="p",
        media=(
            Media(id="1", content_type="image/png", url="https://a.example/1.png"),
            Media(id="2", content_type="video/mp4", alt="A film", url="https://a.example/2"),
            Media(id="3", content_type="image/png", alt="Lost"),
        ),
    )
    problems = blog.check(blog.render(post, ACCOUNT), ACCOUNT)

    assert [(problem.code, problem.field, problem.severity) for problem in problems] == [
        ("title-missing", "title", Severity.ERROR),
        ("alt-missing", "media[0].alt", Severity.WARNING),
        ("media-type", "media[1]", Severity.ERROR),
        ("media-missing", "media[2]", Severity.ERROR),
    ]
    assert blog.check(blog.render(Post(id="p", title="T"), ACCOUNT), ACCOUNT)[0].code == "empty"


def test_the_own_slug_is_exact_and_fits() -> None:
    message = article(Post(id="p", title="word " * 40, body="x"))

    assert own_slug(message, "a") != own_slug(message, "b")
    assert len(own_slug(message, "a")) <= 80
