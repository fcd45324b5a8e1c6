"""What a visitor of the practice Facebook sees, and what is hidden from whom."""

from __future__ import annotations

import time

from aiohttp import web

from channels.facebook.practice.graph import GraphSandbox, PracticePage
from channels.facebook.practice.pictures import Pictures
from channels.facebook.practice.www import account_page, post_page
from channels.sandbox.faults import FaultName
from channels.sandbox.ledger import Entry

_NEWEST = 50


def is_ready(post: Entry) -> bool:
    """Whether a post is shown yet: a video is not while it is processed."""
    return bool(post.payload.get("ready_at", 0) <= time.time())


class Visitors:
    """The public pages: `/www/{page}`, `/www/{page}/posts/{post}`, and the short `/www/{post}`."""

    def __init__(self, platform: GraphSandbox, pictures: Pictures) -> None:
        self._platform = platform
        self._pictures = pictures

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/www/pictures/{picture}", self._picture),
            web.get("/www/{name}", self._account),
            web.get("/www/{name}/posts/{post}", self._post),
        ]

    async def _account(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"]
        page = self._platform.pages.get(name.split("_", 1)[0])
        if page is not None and "_" in name:
            raise web.HTTPFound(f"{self._platform.www(request)}/{page.id}/posts/{name}")
        if page is None or not self._is_shown(page, request):
            return _not_available()
        posts = [post for post in self._entries(page, "post", newest=_NEWEST) if is_ready(post)]
        return _html(account_page(page, posts, self._platform.www(request)))

    async def _post(self, request: web.Request) -> web.StreamResponse:
        page = self._platform.pages.get(request.match_info["name"])
        post = self._platform.ledger.get(self._platform.name, request.match_info["post"])
        if page is None or not self._is_shown(page, request):
            return _not_available()
        if post is None or post.kind != "post" or post.deleted_at or not is_ready(post):
            return _not_available()
        comments = [
            comment
            for comment in self._entries(page, "comment")
            if comment.payload["post"] == post.remote_id
        ]
        return _html(post_page(page, post, comments, self._platform.www(request)))

    async def _picture(self, request: web.Request) -> web.StreamResponse:
        found = self._pictures.get(request.match_info["picture"])
        if found is None:
            raise web.HTTPNotFound
        content, content_type = found
        return web.Response(body=content, content_type=content_type)

    def _entries(self, page: PracticePage, kind: str, newest: int = 0) -> list[Entry]:
        ledger = self._platform.ledger
        return ledger.entries(self._platform.name, page.id, kind=kind, newest=newest)

    def _is_shown(self, page: PracticePage, request: web.Request) -> bool:
        faults = self._platform.faults
        hidden = (FaultName.PAGE_GONE, FaultName.UNPUBLISHED)
        if any(faults.holds(name, page.id) for name in hidden):
            return False
        phone = "Mobi" in request.headers.get("User-Agent", "")
        return phone or faults.holds(FaultName.PHONE_ONLY, page.id) is None


def _html(text: str) -> web.Response:
    return web.Response(text=text, content_type="text/html")


def _not_available() -> web.Response:
    return web.Response(
        status=404,
        text="<!doctype html><title>Not available</title>"
        "<h1>This content isn't available right now</h1>",
        content_type="text/html",
    )
