"""The WordPress adapter against a real WordPress, over a network that misbehaves."""

from __future__ import annotations

import io
import json
import tempfile
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from PIL import Image

from channels.base import Account, Tools
from channels.blog.wordpress.adapter import WordPressAdapter
from channels.blog.wordpress.site import WordPressSettings
from channels.http import HttpClient
from channels.outcome import (
    AccessLost,
    AccessReason,
    Delivered,
    Finding,
    HealthStatus,
    Rejected,
    Unavailable,
    Unconfirmed,
)
from channels.posts import Media, Post
from tests.peers import wordpress
from tests.peers.proxy import Proxy, Spoil

pytestmark = [
    pytest.mark.peers,
    pytest.mark.skipif(
        bool(wordpress.missing()),
        reason=f"not installed: {wordpress.missing()} (`make test-peers` installs it)",
    ),
]

CREATE = "POST /wp-json/wp/v2/posts"
UPLOAD = "POST /wp-json/wp/v2/media"


@pytest.fixture(scope="module")
def site() -> Iterator[wordpress.WordPress]:
    with (
        tempfile.TemporaryDirectory(prefix="wp-", dir="/tmp") as folder,
        wordpress.running(Path(folder)) as running,
    ):
        yield running


@pytest.fixture
async def adapter() -> AsyncIterator[WordPressAdapter]:
    async with HttpClient(private_ok=True) as http:
        yield WordPressAdapter(Tools(http=http, now=lambda: datetime.now(UTC)))


@pytest.fixture
async def proxy(site: wordpress.WordPress) -> AsyncIterator[Proxy]:
    address = urlsplit(site.url)
    async with Proxy(str(address.hostname), address.port or 80) as running:
        yield running


def account(
    site: wordpress.WordPress, login: str = "editor", *, url: str = "", **settings: Any
) -> Account[WordPressSettings]:
    return Account(
        id="wp",
        name="Peer",
        settings=WordPressSettings.model_validate(
            {
                "url": url or site.url,
                "username": login,
                "application_password": site.passwords[login],
                **settings,
            }
        ),
    )


def picture(folder: Path, colour: str, alt: str) -> Media:
    content = io.BytesIO()
    Image.new("RGB", (900, 600), colour).save(content, "JPEG")
    path = folder / f"{colour}.jpg"
    path.write_bytes(content.getvalue())
    return Media(id=colour, content_type="image/jpeg", alt=alt, path=path)


async def test_publishes_with_pictures_categories_and_alternative_texts(
    site: wordpress.WordPress, adapter: WordPressAdapter, tmp_path: Path
) -> None:
    there = account(site, categories=("Nouvelles & co", "Ouverture"))
    post = Post(
        id="p",
        title="Nous rouvrons <mardi>",
        body="Avec du **pain**.",
        tags=("pain", "levain"),
        media=(
            picture(tmp_path, "orange", 'La "porte" été'),
            picture(tmp_path, "green", "Le jardin"),
        ),
    )
    message = adapter.render(post, there)
    before = datetime.now(UTC)

    outcome = await adapter.send(message, there, key="full")

    assert isinstance(outcome, Delivered)
    shown = json.loads(
        site.php(
            f"$p = get_post({outcome.remote_id}); $f = get_post_thumbnail_id($p);"
            "echo json_encode(['title' => $p->post_title, 'content' => $p->post_content,"
            " 'excerpt' => $p->post_excerpt, 'link' => get_permalink($p),"
            " 'alt' => get_post_meta($f, '_wp_attachment_image_alt', true),"
            " 'type' => get_post_mime_type($f), 'tags' => wp_get_post_tags($p->ID,"
            " ['fields' => 'names']), 'categories' => wp_get_post_categories($p->ID,"
            " ['fields' => 'names'])]);"
        )
    )
    assert outcome.url == shown["link"]
    assert "mardi" in shown["title"]
    assert "<strong>pain</strong>" in shown["content"]
    assert 'alt="Le jardin"' in shown["content"]
    assert shown["excerpt"] == "Avec du pain."
    assert (shown["alt"], shown["type"]) == ('La "porte" été', "image/jpeg")
    assert sorted(shown["tags"]) == ["levain", "pain"]
    assert sorted(shown["categories"]) == ["Nouvelles &amp; co", "Ouverture"]
    assert await adapter.find(message, there, key="full", since=before) == Delivered(
        remote_id=outcome.remote_id, url=outcome.url
    )
    assert await adapter.find(message, there, key="other", since=before) is Finding.ABSENT

    again = await adapter.send(message, there, key="next")

    assert isinstance(again, Delivered)
    pictures = site.posts("post_type = 'attachment' AND post_name LIKE 'estafette-%'")
    assert len(pictures) == 2
    terms = site.php("echo count(get_terms(['taxonomy' => 'post_tag', 'hide_empty' => false]));")
    assert terms == "2"


async def test_an_answer_cut_after_the_write_is_found_by_its_slug(
    site: wordpress.WordPress, adapter: WordPressAdapter, proxy: Proxy
) -> None:
    there = account(site, url=proxy.url)
    message = adapter.render(Post(id="p", title="Cut", body="Once."), there)
    before = datetime.now(UTC)
    proxy.match, proxy.spoil = CREATE, Spoil.CUT

    outcome = await adapter.send(message, there, key="cut")

    assert isinstance(outcome, Unconfirmed)
    assert proxy.hits == 1
    found = await adapter.find(message, there, key="cut", since=before)
    (post,) = site.posts("post_title = 'Cut'")
    assert isinstance(found, Delivered)
    assert found.remote_id == post["ID"]


async def test_an_answer_held_back_leaves_a_doubt_that_looking_settles(
    site: wordpress.WordPress, adapter: WordPressAdapter, proxy: Proxy
) -> None:
    there = account(site, url=proxy.url)
    message = adapter.render(Post(id="p", title="Held", body="Once."), there)
    proxy.match, proxy.spoil = CREATE, Spoil.HOLD

    outcome = await adapter.send(message, there, key="held")

    assert proxy.answered.is_set()
    assert isinstance(outcome, Unconfirmed)
    found = await adapter.find(message, there, key="held", since=datetime.now(UTC))
    assert isinstance(found, Delivered)
    assert len(site.posts("post_title = 'Held'")) == 1


async def test_a_request_cut_before_it_arrived_is_proven_absent(
    site: wordpress.WordPress, adapter: WordPressAdapter, proxy: Proxy
) -> None:
    there = account(site, url=proxy.url)
    message = adapter.render(Post(id="p", title="Refused", body="Never."), there)
    proxy.match, proxy.spoil = CREATE, Spoil.REFUSE

    outcome = await adapter.send(message, there, key="refused")

    # The client cannot know that nothing arrived: it looks, and only then tries again.
    assert isinstance(outcome, Unconfirmed)
    assert proxy.hits == 1
    assert (
        await adapter.find(message, there, key="refused", since=datetime.now(UTC)) is Finding.ABSENT
    )


async def test_a_torn_upload_publishes_nothing_and_the_next_attempt_everything_once(
    site: wordpress.WordPress, adapter: WordPressAdapter, proxy: Proxy, tmp_path: Path
) -> None:
    there = account(site, url=proxy.url)
    media = picture(tmp_path, "purple", "Torn")
    message = adapter.render(Post(id="p", title="Torn", body="Once.", media=(media,)), there)
    proxy.match, proxy.spoil = UPLOAD, Spoil.TEAR

    outcome = await adapter.send(message, there, key="torn")

    assert isinstance(outcome, Unavailable)
    assert site.posts("post_title = 'Torn' AND post_type = 'post'") == []

    proxy.spoil = None
    assert isinstance(await adapter.send(message, there, key="torn"), Delivered)
    assert len(site.posts("post_title = 'Torn' AND post_type = 'post'")) == 1
    assert len(site.posts("post_title = 'Torn' AND post_type = 'attachment'")) == 1


async def test_an_upload_whose_answer_was_lost_is_not_made_twice(
    site: wordpress.WordPress, adapter: WordPressAdapter, proxy: Proxy, tmp_path: Path
) -> None:
    there = account(site, url=proxy.url)
    media = picture(tmp_path, "navy", "Lost")
    message = adapter.render(Post(id="p", title="Lost", body="Once.", media=(media,)), there)
    proxy.match, proxy.spoil = UPLOAD, Spoil.CUT

    assert isinstance(await adapter.send(message, there, key="lost"), Unavailable)

    proxy.spoil = None
    assert isinstance(await adapter.send(message, there, key="lost"), Delivered)
    assert len(site.posts("post_title = 'Lost' AND post_type = 'attachment'")) == 1


async def test_nobody_listening_is_unavailable(
    site: wordpress.WordPress, adapter: WordPressAdapter, proxy: Proxy
) -> None:
    there = account(site, url="http://127.0.0.1:1")
    message = adapter.render(Post(id="p", title="Nobody", body="."), there)

    assert isinstance(await adapter.send(message, there, key="nobody"), Unavailable)
    assert (await adapter.probe(there)).status is HealthStatus.PLATFORM_DOWN


async def test_a_wrong_password_is_a_lost_access(
    site: wordpress.WordPress, adapter: WordPressAdapter
) -> None:
    there = account(site, application_password="abcd efgh ijkl mnop qrst uvwx")
    message = adapter.render(Post(id="p", title="Wrong", body="."), there)

    outcome = await adapter.send(message, there, key="wrong")

    assert isinstance(outcome, AccessLost)
    assert outcome.reason is AccessReason.TOKEN
    assert "abcd" not in repr(outcome)
    health = await adapter.probe(there)
    assert (health.status, health.reason) == (HealthStatus.ACCESS_LOST, AccessReason.TOKEN)
    found = await adapter.find(message, there, key="wrong", since=datetime.now(UTC))
    assert found is Finding.UNKNOWN


async def test_a_contributor_may_not_publish(
    site: wordpress.WordPress, adapter: WordPressAdapter
) -> None:
    there = account(site, "contributor")
    message = adapter.render(Post(id="p", title="Contributed", body="."), there)

    outcome = await adapter.send(message, there, key="contributed")

    assert isinstance(outcome, AccessLost)
    assert outcome.reason is AccessReason.ROLE
    health = await adapter.probe(there)
    assert (health.status, health.reason) == (HealthStatus.ACCESS_LOST, AccessReason.ROLE)
    assert site.posts("post_title = 'Contributed'") == []


async def test_a_demoted_author_still_finds_what_was_published(
    site: wordpress.WordPress, adapter: WordPressAdapter
) -> None:
    """Proven absent while it stands there would be published twice."""
    message = adapter.render(Post(id="p", title="Demoted", body="."), account(site))
    assert isinstance(await adapter.send(message, account(site), key="demoted"), Delivered)

    there = account(site, "contributor")
    found = await adapter.find(message, there, key="demoted", since=datetime.now(UTC))

    assert isinstance(found, Delivered)


async def test_maintenance_is_unavailable_until_it_says(
    site: wordpress.WordPress, adapter: WordPressAdapter
) -> None:
    there = account(site)
    message = adapter.render(Post(id="p", title="Maintained", body="."), there)

    with site.maintenance():
        outcome = await adapter.send(message, there, key="maintained")
        health = await adapter.probe(there)

    assert isinstance(outcome, Unavailable)
    assert outcome.until is not None
    assert 590 < (outcome.until - datetime.now(UTC)).total_seconds() <= 600
    assert health.status is HealthStatus.PLATFORM_DOWN
    assert isinstance(await adapter.send(message, there, key="maintained"), Delivered)


async def test_plain_permalinks_change_the_address_and_nothing_else(
    site: wordpress.WordPress, adapter: WordPressAdapter
) -> None:
    there = account(site)
    message = adapter.render(Post(id="p", title="Plain", body=".", tags=("a&b",)), there)
    assert (await adapter.probe(there)).status is HealthStatus.HEALTHY

    site.permalinks("")
    try:
        # The address remembered from the probe is no longer right, and looking finds the new one.
        found = await adapter.find(message, there, key="plain", since=datetime.now(UTC))
        assert found is Finding.ABSENT
        outcome = await adapter.send(message, there, key="plain")
        assert isinstance(outcome, Delivered)
        assert (await adapter.probe(there)).status is HealthStatus.HEALTHY
        found = await adapter.find(message, there, key="plain", since=datetime.now(UTC))
        assert isinstance(found, Delivered)
        assert found.remote_id == outcome.remote_id
    finally:
        site.permalinks("/%postname%/")


@pytest.mark.parametrize("permalinks", ["/%postname%/", "/%year%/%monthnum%/%postname%/", ""])
async def test_an_article_stands_where_it_was_said_to(
    site: wordpress.WordPress, adapter: WordPressAdapter, permalinks: str
) -> None:
    there = account(site)
    key = f"foretold {permalinks}"
    message = adapter.render(Post(id="p", title="Foretold", body="Read on here."), there)
    site.permalinks(permalinks)
    try:
        foretold = await adapter.address(message, there, key=key, keep=True)
        async with HttpClient(private_ok=True) as http:
            assert (await http.request("GET", str(foretold), follow=True)).status == 404
            sent = await adapter.send(message, there, key=key)
            assert isinstance(sent, Delivered)
            page = await http.request("GET", str(foretold), follow=True)
        assert page.status == 200
        # Debian's package has no theme to show it with; which post it is, the head says.
        assert f"?p={sent.remote_id}>; rel=shortlink" in str(page.headers)
    finally:
        site.permalinks("/%postname%/")


async def test_our_own_double_is_seen(site: wordpress.WordPress, adapter: WordPressAdapter) -> None:
    there = account(site)
    message = adapter.render(Post(id="p", title="Double", body="."), there)
    first = await adapter.send(message, there, key="double")
    second = await adapter.send(message, there, key="double")
    assert isinstance(first, Delivered)
    assert isinstance(second, Delivered)
    assert str(second.url).rstrip("/").endswith("-2")

    found = await adapter.find(message, there, key="double", since=datetime.now(UTC))

    assert isinstance(found, Delivered)
    assert found.remote_id == first.remote_id
    assert "2 times" in found.note

    assert isinstance(await adapter.withdraw(first.remote_id, there), Delivered)
    assert isinstance(await adapter.withdraw(first.remote_id, there), Delivered)
    assert isinstance(await adapter.withdraw("99999", there), Delivered)


async def test_a_post_taken_down_was_published(
    site: wordpress.WordPress, adapter: WordPressAdapter
) -> None:
    there = account(site)
    message = adapter.render(Post(id="p", title="Binned", body="."), there)
    sent = await adapter.send(message, there, key="binned")
    assert isinstance(sent, Delivered)
    await adapter.withdraw(sent.remote_id, there)

    found = await adapter.find(message, there, key="binned", since=datetime.now(UTC))

    assert isinstance(found, Delivered)
    assert "bin" in found.note


async def test_a_correction_replaces_the_words(
    site: wordpress.WordPress, adapter: WordPressAdapter
) -> None:
    there = account(site)
    sent = await adapter.send(
        adapter.render(Post(id="p", title="Typo", body="Tuseday"), there), there, key="typo"
    )
    assert isinstance(sent, Delivered)
    better = adapter.render(Post(id="p", title="No typo", body="Tuesday"), there)

    edited = await adapter.edit(better, there, remote_id=sent.remote_id)

    assert isinstance(edited, Delivered)
    (row,) = site.posts(f"ID = {sent.remote_id}")
    assert (row["post_title"], row["post_content"]) == ("No typo", "<p>Tuesday</p>")
    assert isinstance(await adapter.edit(better, there, remote_id="99999"), Rejected)


async def test_a_file_that_is_no_picture_is_the_authors_problem(
    site: wordpress.WordPress, adapter: WordPressAdapter, tmp_path: Path
) -> None:
    there = account(site)
    path = tmp_path / "x.bmp"
    path.write_bytes(b"nothing")
    media = Media(id="x", content_type="application/x-php", alt="x", path=path)
    message = adapter.render(Post(id="p", title="File", body=".", media=(media,)), there)

    outcome = await adapter.send(message, there, key="file")

    assert isinstance(outcome, Rejected)
    assert outcome.problem.field == "media"
    assert site.posts("post_title = 'File'") == []
