"""Where a WordPress's REST API is, and who gets the password."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from pydantic import ValidationError
from yarl import URL

from channels.base import Account, Tools
from channels.blog.wordpress.adapter import WordPressAdapter
from channels.blog.wordpress.site import Root, WordPressSettings, moved
from channels.outcome import AccessLost, AccessReason, Delivered
from channels.posts import Post
from channels.steps import Stopped
from tests.channels.blog.test_wordpress_wire import POSTS, REPLIES, account
from tests.channels.replay import Recorded, Replay


@pytest.fixture
async def elsewhere() -> AsyncIterator[Replay]:
    async with Replay() as running:
        yield running


def redirect(to: str) -> Recorded:
    return replace(REPLIES["moved"], headers={"Location": to})


async def test_a_password_never_follows_a_redirect_to_another_host(
    tools: Tools, replay: Replay, elsewhere: Replay
) -> None:
    other = elsewhere.url.replace("127.0.0.1", "localhost")
    replay.on("GET", "/wp-json/", redirect(f"{other}/wp-json/"))
    elsewhere.on("GET", "/wp-json/", REPLIES["index"])
    adapter, there = WordPressAdapter(tools), account(replay.url)
    message = adapter.render(Post(id="p", title="T", body="B"), there)

    outcome = await adapter.send(message, there, key="k")

    assert isinstance(outcome, AccessLost)
    assert outcome.reason is AccessReason.MISCONFIGURED
    assert other in outcome.detail
    assert [asked.method for asked in elsewhere.asked] == ["GET"]
    assert "Authorization" not in elsewhere.asked[0].headers


async def test_plain_permalinks_are_found_and_remembered(tools: Tools, replay: Replay) -> None:
    replay.on("GET", "/wp-json/", REPLIES["not_found_html"])
    replay.on("GET", "/", REPLIES["index"])
    replay.on("POST", "/", REPLIES["created"])
    adapter, there = WordPressAdapter(tools), account(replay.url)
    message = adapter.render(Post(id="p", title="T", body="B"), there)

    for key in ("k1", "k2"):
        assert isinstance(await adapter.send(message, there, key=key), Delivered)

    assert [asked.method for asked in replay.asked] == ["GET", "GET", "POST", "POST"]
    assert "rest_route=/wp/v2/posts" in replay.asked[-1].path


async def test_an_address_that_is_no_longer_right_is_looked_for_again(
    tools: Tools, replay: Replay
) -> None:
    replay.on("GET", "/wp-json/", REPLIES["index"])
    replay.on("POST", POSTS, REPLIES["no_route"])
    adapter, there = WordPressAdapter(tools), account(replay.url)
    message = adapter.render(Post(id="p", title="T", body="B"), there)

    await adapter.send(message, there, key="k")
    replay.on("POST", POSTS, REPLIES["created"])
    assert isinstance(await adapter.send(message, there, key="k"), Delivered)

    assert [asked.method for asked in replay.asked] == ["GET", "POST", "GET", "POST"]


@pytest.mark.parametrize(
    ("answered", "base"),
    [
        ("http://shop.example/blog/wp-json/", "http://shop.example/blog"),
        ("https://shop.example/blog/wp-json/", "https://shop.example/blog"),
        ("https://www.shop.example/blog/wp-json/", "https://www.shop.example/blog"),
    ],
)
def test_a_site_may_move_to_https_and_to_www(answered: str, base: str) -> None:
    asked = URL("http://shop.example/blog/wp-json/")

    assert moved("http://shop.example/blog", asked, URL(answered)) == base


@pytest.mark.parametrize(
    "answered",
    ["https://parking.example/", "http://www.shop.example/", "http://shop.example:8080/"],
)
def test_a_site_may_not_move_anywhere_else(answered: str) -> None:
    with pytest.raises(Stopped) as stopped:
        moved("http://shop.example", URL("http://shop.example/wp-json/"), URL(answered))

    assert isinstance(stopped.value.outcome, AccessLost)


def test_addresses_are_built_for_both_kinds_of_permalinks() -> None:
    params = {"search": "R&D é", "per_page": "5"}

    pretty = Root("https://shop.example/blog", pretty=True).address("/wp/v2/tags", params)
    plain = Root("https://shop.example/blog", pretty=False).address("/wp/v2/tags", params)

    assert pretty.path == "/blog/wp-json/wp/v2/tags"
    assert dict(pretty.query) == params
    assert plain.path == "/blog/"
    assert dict(plain.query) == {"rest_route": "/wp/v2/tags", **params}


@pytest.mark.parametrize("url", ["shop.example", "ftp://shop.example", "https://u:p@shop.example"])
def test_the_address_has_to_be_a_site(url: str) -> None:
    with pytest.raises(ValidationError, match=r"https://blog\.example\.com"):
        WordPressSettings.model_validate({"url": url, "username": "u", "application_password": "p"})


def test_an_account_is_what_it_says(replay: Replay) -> None:
    there: Account[WordPressSettings] = account(f"{replay.url}/?x=1#y")

    assert there.settings.url == replay.url
