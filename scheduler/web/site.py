"""The built-in blog as readers see it: `/blog`, its pages, feed, sitemap and pictures.

No script, no cookie, nothing from anywhere else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import jinja2
from aiohttp import ETag, web

from scheduler.media import MediaError, scaled
from scheduler.store.pages import SITE_PATH, StoredPage
from scheduler.web.site_views import (
    PICTURE_WIDTHS,
    PREVIEW_WIDTH,
    SiteInfo,
    article_of,
    open_graph_locale,
    preview_path,
    preview_size,
    printable,
    words_of,
)

PAGE_SIZE = 10
FEED_SIZE = 20

# Pictures may also come from where the author's Markdown says.
_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self' https:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "strict-origin-when-cross-origin",
}
_FOR_EVER = "public, max-age=31536000, immutable"
_BRIEFLY = "public, max-age=60"
_HERE = Path(__file__).parent
_PICTURE_TYPES = {"webp": "image/webp", "jpg": "image/jpeg"}


class PageReader(Protocol):
    """What the site reads of `scheduler.store.pages.PageStore`."""

    async def by_slug(self, slug: str) -> StoredPage | None: ...
    async def latest(self, limit: int, offset: int = 0) -> list[StoredPage]: ...
    async def addresses(self) -> list[tuple[str, datetime]]: ...
    async def count(self) -> int: ...


@dataclass(frozen=True)
class Site:
    """The handlers of one blog. `info` is asked at each request, so that a renamed site needs no
    restart; `data_dir` is where the pictures are."""

    pages: PageReader
    info: Callable[[], SiteInfo]
    data_dir: Path

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get(SITE_PATH, self.index),
            web.get(f"{SITE_PATH}/", self.to_index),
            web.get(f"{SITE_PATH}/feed.atom", self.feed),
            web.get(f"{SITE_PATH}/sitemap.xml", self.sitemap),
            web.get(f"{SITE_PATH}/site.css", self.stylesheet),
            web.get(f"{SITE_PATH}/media/{{sha256:[0-9a-f]{{64}}}}/{{file}}", self.picture),
            web.get(f"{SITE_PATH}/{{slug}}", self.article),
        ]

    async def to_index(self, _request: web.Request) -> web.StreamResponse:
        raise web.HTTPPermanentRedirect(SITE_PATH)

    async def index(self, request: web.Request) -> web.StreamResponse:
        number = _page_number(request)
        total = await self.pages.count()
        last = max(1, -(-total // PAGE_SIZE))
        if number is None or number > last:
            return self._missing()
        info = self.info()
        stored = await self.pages.latest(PAGE_SIZE, (number - 1) * PAGE_SIZE)
        return self._html(
            request,
            "index.html",
            language=info.language,
            articles=[article_of(page, info) for page in stored],
            number=number,
            last=last,
            canonical=info.home if number == 1 else f"{info.home}?page={number}",
        )

    async def article(self, request: web.Request) -> web.StreamResponse:
        stored = await self.pages.by_slug(request.match_info["slug"])
        if stored is None:
            return self._missing()
        if stored.withdrawn:
            return self._missing(status=410, language=stored.page.language)
        info = self.info()
        article = article_of(stored, info)
        images = [media for media in stored.page.media if media.is_image]
        first = images[0] if images else None
        preview = ""
        if first is not None:
            preview = (
                f"{info.base_url.rstrip('/')}{preview_path(first.sha256)}"
                if first.sha256
                else first.url or ""
            )
        return self._html(
            request,
            "article.html",
            language=article.language,
            article=article,
            canonical=article.url,
            preview=preview,
            size=preview_size(first) if first is not None and first.sha256 else None,
        )

    async def feed(self, request: web.Request) -> web.StreamResponse:
        info = self.info()
        articles = [article_of(page, info) for page in await self.pages.latest(FEED_SIZE)]
        updated = max(
            (article.updated for article in articles), default=datetime.fromtimestamp(0, UTC)
        )
        body = _templates.get_template("feed.atom").render(
            info=info, articles=articles, updated=updated
        )
        return _answer(request, body, "application/atom+xml")

    async def sitemap(self, request: web.Request) -> web.StreamResponse:
        body = _templates.get_template("sitemap.xml").render(
            home=self.info().home, addresses=await self.pages.addresses()
        )
        return _answer(request, body, "application/xml")

    async def stylesheet(self, request: web.Request) -> web.StreamResponse:
        return _answer(request, _style.text, "text/css", cache=_FOR_EVER)

    async def picture(self, request: web.Request) -> web.StreamResponse:
        width, _, suffix = request.match_info["file"].partition(".")
        if width not in map(str, {*PICTURE_WIDTHS, PREVIEW_WIDTH}) or suffix not in _PICTURE_TYPES:
            raise web.HTTPNotFound
        content_type = _PICTURE_TYPES[suffix]
        try:
            path = await scaled(
                self.data_dir,
                request.match_info["sha256"],
                width=int(width),
                content_type=content_type,
            )
        except MediaError as error:
            raise web.HTTPNotFound(text=error.detail) from error
        if path is None:
            raise web.HTTPNotFound
        return web.FileResponse(
            path, headers={**_HEADERS, "Content-Type": content_type, "Cache-Control": _FOR_EVER}
        )

    def _html(self, request: web.Request, template: str, **context: Any) -> web.StreamResponse:
        return _answer(request, self._rendered(template, **context), "text/html")

    def _missing(self, *, status: int = 404, language: str = "") -> web.StreamResponse:
        return web.Response(
            text=self._rendered(
                "missing.html", language=language or self.info().language, gone=status == 410
            ),
            status=status,
            content_type="text/html",
            headers=_HEADERS,
        )

    def _rendered(self, template: str, *, language: str, **context: Any) -> str:
        return _templates.get_template(template).render(
            info=self.info(),
            language=language,
            words=words_of(language),
            style=f"{SITE_PATH}/site.css?{_style.version}",
            path=SITE_PATH,
            **context,
        )


def setup_site(
    app: web.Application, *, pages: PageReader, info: Callable[[], SiteInfo], data_dir: Path
) -> None:
    """Serve the blog at `/blog` of this application."""
    app.add_routes(Site(pages=pages, info=info, data_dir=data_dir).routes())


def _page_number(request: web.Request) -> int | None:
    """`?page=`, from 1; None when it is no such number."""
    text = request.query.get("page", "1")
    wanted = int(text) if text.isascii() and text.isdigit() and len(text) < 9 else 0
    return wanted or None


def _answer(
    request: web.Request, body: str, content_type: str, *, cache: str = _BRIEFLY
) -> web.StreamResponse:
    """The body, or 304 for a reader who has it: feed readers ask every few minutes."""
    data = body.encode()
    etag = hashlib.sha256(data).hexdigest()[:20]
    headers = {**_HEADERS, "Cache-Control": cache}
    known = request.if_none_match
    if known is not None and any(tag.value in {etag, "*"} for tag in known):
        response = web.Response(status=304, headers=headers)
    else:
        response = web.Response(
            body=data, content_type=content_type, charset="utf-8", headers=headers
        )
    response.etag = ETag(value=etag)
    return response


class _Style:
    """The stylesheet, read once; its address changes with its text."""

    @cached_property
    def text(self) -> str:
        return (_HERE / "static" / "site.css").read_text()

    @cached_property
    def version(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()[:12]


_style = _Style()
_templates = jinja2.Environment(
    loader=jinja2.FileSystemLoader(_HERE / "templates" / "site"),
    autoescape=True,  # XML and HTML alike, whatever a template's name
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_templates.filters["printable"] = printable
_templates.filters["open_graph_locale"] = open_graph_locale
_templates.filters["rfc3339"] = lambda moment: moment.isoformat(timespec="seconds")
