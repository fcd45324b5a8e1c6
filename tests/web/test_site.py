"""The built-in blog as a browser, a feed reader and a search engine get it."""

from __future__ import annotations

import io
import re
import xml.etree.ElementTree as ET
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from PIL import Image

from channels.base import Page
from channels.posts import Media
from scheduler.media import store_upload
from scheduler.store.db import Database
from scheduler.store.migrate import migrate
from scheduler.store.pages import PageStore
from scheduler.web.site import setup_site
from scheduler.web.site_views import SiteInfo, long_date, offered_widths, open_graph_locale

NOON = datetime(2026, 5, 2, 12, 0, tzinfo=UTC)
INFO = SiteInfo(
    name="Chez “Jeanne” <& filles>",
    base_url="https://shop.example",
    description="Bread & more",
    language="fr",
    zone="Europe/Paris",
)
ATOM = "{http://www.w3.org/2005/Atom}"
Client = TestClient[web.Request, web.Application]


class Outline(HTMLParser):
    """Tags with their attributes, and that each one opened is closed."""

    VOID = frozenset({"meta", "link", "img", "br", "hr"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.open: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attrs for name, attrs in self.tags if name == tag]

    def meta(self, name: str) -> str | None:
        for attrs in self.all("meta"):
            if name in {attrs.get("name"), attrs.get("property")}:
                return attrs["content"]
        return None

    def link(self, rel: str) -> str | None:
        return next((attrs["href"] for attrs in self.all("link") if attrs["rel"] == rel), None)


def page(number: int = 1, **changes: object) -> Page:
    made = Page(
        key=f"delivery-{number}",
        account_id="account",
        post_id="post",
        slug=f"article-{number}",
        title=f"Article <{number}> & co",
        html="<p>Body &amp; <em>soul</em></p>",
        summary="A “short” one",
        language="en",
        tags=("bread", "R&D"),
        published_at=NOON + timedelta(hours=number),
    )
    return replace(made, **changes)  # type: ignore[arg-type]  # field by field at each call


@pytest.fixture
async def pages(tmp_path: Path) -> AsyncIterator[PageStore]:
    database = Database(f"sqlite+aiosqlite:///{tmp_path / 'site.db'}")
    await migrate(database)
    yield PageStore(database)
    await database.close()


@pytest.fixture
async def client(pages: PageStore, tmp_path: Path) -> AsyncIterator[Client]:
    app = web.Application()
    setup_site(app, pages=pages, info=lambda: INFO, data_dir=tmp_path)
    async with TestClient(TestServer(app)) as made:
        yield made


async def picture(data_dir: Path, *, alt: str = "The <old> oven") -> Media:
    buffer = io.BytesIO()
    Image.new("RGB", (1200, 800), "orange").save(buffer, "PNG")

    async def stream() -> AsyncIterator[bytes]:
        yield buffer.getvalue()

    return (await store_upload(stream(), "oven.png", alt, data_dir)).as_media(data_dir)


async def test_an_article_can_be_read_linked_and_shared(
    client: Client, pages: PageStore, tmp_path: Path
) -> None:
    media = await picture(tmp_path)
    await pages.publish(page(media=(media,)))

    response = await client.get("/blog/article-1")
    text = await response.text()
    outline = Outline(text)

    assert response.status == 200
    assert outline.all("html")[0]["lang"] == "en"
    assert "<p>Body &amp; <em>soul</em></p>" in text
    assert outline.link("canonical") == "https://shop.example/blog/article-1"
    assert outline.meta("og:title") == "Article <1> & co"
    assert outline.meta("og:url") == "https://shop.example/blog/article-1"
    assert outline.meta("og:image:alt") == "The <old> oven"
    assert outline.meta("article:published_time") == "2026-05-02T13:00:00+00:00"
    assert "Published on" in text
    assert 'href="#text"' in text
    assert not outline.all("script")


async def test_every_size_of_a_picture_that_a_page_offers_exists(
    client: Client, pages: PageStore, tmp_path: Path
) -> None:
    await pages.publish(page(media=(await picture(tmp_path),)))

    outline = Outline(await (await client.get("/blog/article-1")).text())
    shown = outline.all("img")[0]

    assert shown["alt"] == "The <old> oven"
    assert (shown["width"], shown["height"]) == ("1200", "800")
    sizes = re.findall(r"(\S+) (\d+)w", shown["srcset"])
    assert [width for _, width in sizes] == ["480", "960", "1200"]
    for path, width in [*sizes, (shown["src"], "1200")]:
        response = await client.get(path)
        assert response.content_type == "image/webp"
        assert "immutable" in response.headers["Cache-Control"]
        with Image.open(io.BytesIO(await response.read())) as image:
            assert image.width == int(width)
    preview = (outline.meta("og:image") or "").removeprefix("https://shop.example")
    response = await client.get(preview)
    with Image.open(io.BytesIO(await response.read())) as image:
        assert image.format == "JPEG"
        size = outline.meta("og:image:width"), outline.meta("og:image:height")
        assert size == (str(image.width), str(image.height)) == ("1200", "800")


@pytest.mark.parametrize(
    "path",
    [
        "/blog/nothing",
        "/blog?page=0",
        "/blog?page=2",
        "/blog?page=x",
        "/blog?page=99999999999999999999",
        "/blog/media/" + "0" * 64 + "/480.webp",
        "/blog/media/" + "0" * 64 + "/481.webp",
        "/blog/media/" + "0" * 64 + "/480.svg",
        "/blog/media/../../site.db/480.webp",
    ],
)
async def test_what_does_not_exist_is_not_found(client: Client, path: str) -> None:
    assert (await client.get(path)).status == 404


async def test_only_offered_widths_are_made(client: Client, tmp_path: Path) -> None:
    media = await picture(tmp_path)

    assert (await client.get(f"/blog/media/{media.sha256}/477.webp")).status == 404
    assert (await client.get(f"/blog/media/{media.sha256}/480.webp")).status == 200


async def test_a_page_taken_down_says_so_in_its_language(client: Client, pages: PageStore) -> None:
    await pages.publish(page(language="fr-FR"))
    await pages.withdraw("delivery-1")

    response = await client.get("/blog/article-1")

    assert response.status == 410
    text = await response.text()
    assert "Cet article a été retiré." in text
    assert Outline(text).meta("robots") == "noindex"


async def test_the_index_leads_to_every_article(client: Client, pages: PageStore) -> None:
    for number in range(1, 25):
        await pages.publish(page(number))

    seen: list[str] = []
    path: str | None = "/blog"
    while path is not None:
        outline = Outline(await (await client.get(path)).text())
        seen += [
            attrs["href"]
            for attrs in outline.all("a")
            if attrs["href"].startswith("/blog/article-")
        ]
        path = outline.link("next")

    assert seen == [f"/blog/article-{number}" for number in range(24, 0, -1)]
    assert outline.link("canonical") == "https://shop.example/blog?page=3"
    assert outline.link("prev") == "/blog?page=2"


async def test_an_empty_site_says_so_in_its_language(client: Client) -> None:
    text = await (await client.get("/blog")).text()

    assert Outline(text).all("html")[0]["lang"] == "fr"
    assert "Rien n’a encore été publié ici." in text
    assert (await client.get("/blog/", allow_redirects=False)).headers["Location"] == "/blog"


async def test_the_feed_is_valid_atom(client: Client, pages: PageStore, tmp_path: Path) -> None:
    remote = Media(id="r", content_type="image/png", alt='"x"', url="https://a.example/?a=1&b=2")
    await pages.publish(page(1, media=(await picture(tmp_path), remote)))
    await pages.publish(page(2, title="Bell \x07 rings", language="fr"))

    response = await client.get("/blog/feed.atom")
    feed = ET.fromstring(await response.text())  # noqa: S314 -- our own feed

    assert response.content_type == "application/atom+xml"
    assert feed.findtext(f"{ATOM}title") == INFO.name
    assert feed.findtext(f"{ATOM}author/{ATOM}name") == INFO.name
    assert feed.findtext(f"{ATOM}updated") == "2026-05-02T14:00:00+00:00"
    links = {link.get("rel"): link.get("href") for link in feed.findall(f"{ATOM}link")}
    assert links["self"] == "https://shop.example/blog/feed.atom"
    newest, oldest = feed.findall(f"{ATOM}entry")
    assert newest.findtext(f"{ATOM}title") == "Bell  rings"
    assert newest.get("{http://www.w3.org/XML/1998/namespace}lang") == "fr"
    ids = [
        feed.findtext(f"{ATOM}id"),
        newest.findtext(f"{ATOM}id"),
        oldest.findtext(f"{ATOM}id"),
    ]
    assert len({*ids}) == 3
    assert all(str(value).startswith("urn:uuid:") for value in ids)
    content = oldest.find(f"{ATOM}content")
    assert content is not None
    assert content.get("type") == "html"
    inside = Outline(content.text or "")
    assert [attrs["alt"] for attrs in inside.all("img")] == ["The <old> oven", '"x"']
    assert inside.all("img")[0]["src"].startswith("https://shop.example/blog/media/")
    assert inside.all("img")[1]["src"] == "https://a.example/?a=1&b=2"
    assert "<em>soul</em>" in (content.text or "")


async def test_an_empty_feed_is_valid_too(client: Client) -> None:
    feed = ET.fromstring(await (await client.get("/blog/feed.atom")).text())  # noqa: S314 -- our own

    assert feed.findtext(f"{ATOM}updated") == "1970-01-01T00:00:00+00:00"


async def test_the_sitemap_lists_what_is_up(client: Client, pages: PageStore) -> None:
    await pages.publish(page(1))
    await pages.publish(page(2))
    await pages.withdraw("delivery-1")

    sitemap = ET.fromstring(await (await client.get("/blog/sitemap.xml")).text())  # noqa: S314 -- our own

    space = "{http://www.sitemaps.org/schemas/sitemap/0.9}"
    assert [loc.text for loc in sitemap.iter(f"{space}loc")] == [
        "https://shop.example/blog",
        "https://shop.example/blog/article-2",
    ]


async def test_a_reader_who_has_it_is_not_sent_it_again(client: Client, pages: PageStore) -> None:
    await pages.publish(page())
    first = await client.get("/blog/feed.atom")

    again = await client.get("/blog/feed.atom", headers={"If-None-Match": first.headers["ETag"]})

    assert again.status == 304
    await pages.publish(page(2))
    changed = await client.get("/blog/feed.atom", headers={"If-None-Match": first.headers["ETag"]})
    assert changed.status == 200


@pytest.mark.parametrize("path", ["/blog", "/blog/article-1", "/blog/nothing", "/blog/site.css"])
async def test_nothing_foreign_can_run(client: Client, pages: PageStore, path: str) -> None:
    await pages.publish(page())

    response = await client.get(path)

    policy = response.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src" not in policy
    assert response.headers["X-Content-Type-Options"] == "nosniff"


def test_dates_are_those_of_the_place_and_the_language() -> None:
    late = datetime(2026, 5, 2, 23, 30, tzinfo=UTC)

    assert long_date(late, "fr", "Europe/Paris") == "3 mai 2026"
    assert long_date(late, "en-GB", "UTC") == "2 May 2026"
    assert long_date(late, "tlh", "UTC") == "May 2, 2026"
    assert long_date(late, "not a language", "UTC") == "May 2, 2026"


@pytest.mark.parametrize(
    ("width", "offered"), [(None, 3), (200, 1), (480, 1), (900, 2), (960, 2), (1000, 3), (4000, 3)]
)
def test_a_picture_is_offered_up_to_all_that_it_has(width: int | None, offered: int) -> None:
    assert len(offered_widths(width)) == offered


def test_open_graph_wants_a_territory() -> None:
    spoken = ("fr", "en-GB", "pt", "zh-Hant-TW", "tlh", "not a language")
    assert [open_graph_locale(one) for one in spoken] == [
        "fr_FR",
        "en_GB",
        "pt_BR",
        "zh_TW",
        "",
        "",
    ]


def _luminance(colour: str) -> float:
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_words_stand_out_from_their_paper_in_both_themes() -> None:
    """WCAG 2.2 AA: 4.5 to 1."""
    style = Path("scheduler/web/static/site.css").read_text()
    themes = re.findall(r":root \{(.*?)\}", style, re.DOTALL)
    assert len(themes) == 2
    for theme in themes:
        colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", theme))
        for paper in ("paper", "raised"):
            for ink in ("ink", "soft", "accent", "accent-strong"):
                light, dark = sorted(
                    (_luminance(colours[paper]), _luminance(colours[ink])), reverse=True
                )
                assert (light + 0.05) / (dark + 0.05) >= 4.5, (paper, ink)
