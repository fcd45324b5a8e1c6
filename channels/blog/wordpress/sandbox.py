"""A practice WordPress: posts, media and terms by REST v2, as strict as core 6.x, and the public
page of each post. Both `/wp-json/…` and `?rest_route=…` answer."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, ClassVar

from aiohttp import hdrs, web

from channels.blog.wordpress.sandbox_api import PLATFORM, USERNAME, Call, RestApi
from channels.blog.wordpress.sandbox_rules import (
    Refused,
    html,
    selected,
)
from channels.sandbox.faults import FaultName
from channels.sandbox.ledger import Ledger
from channels.sandbox.server import (
    PracticeAccount,
    Sandbox,
    apply_transport_faults,
    spoil_answer,
)

PASSWORD = "prac tice pass word only here"  # noqa: S105 -- opens nothing but the practice platform
UPLOAD_LIMIT = 2 * 1024 * 1024
_PHONE = re.compile("Mobile|Android|iPhone")


class WordPressSandbox(Sandbox):
    """Ledger kinds: `post`, `media`, `category`, `post_tag`. One site, account `site`."""

    name: ClassVar[str] = PLATFORM

    def __init__(self, ledger: Ledger) -> None:
        super().__init__(ledger)
        self.calls: list[str] = []
        self._api = RestApi(ledger, self.faults)

    def accounts(self, base_url: str) -> Sequence[PracticeAccount]:
        return [
            PracticeAccount(
                adapter="blog.wordpress",
                name="Practice WordPress",
                settings={
                    "url": base_url,
                    "username": USERNAME,
                    "application_password": PASSWORD,
                    "categories": ["News"],
                },
            )
        ]

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_route("*", "/wp-json{path:.*}", self._rest)
        app.router.add_route("*", "/", self._front)
        app.router.add_get("/wp-content/uploads/{file}", self._upload)
        app.router.add_get("/{slug}/", self._page)
        return app

    # --- one request -----------------------------------------------------------------------------

    async def _front(self, request: web.Request) -> web.StreamResponse:
        if "rest_route" in request.query:
            return await self._rest(request)
        if self.faults.holds(FaultName.PAGE_GONE, "site"):
            return html(404, "Site not found")
        if "name" in request.query:
            return self._article(request, request.query["name"])
        links = "".join(
            f'<li><a href="{escape(str(post.payload["link"]))}">{escape(post.text)}</a></li>'
            for post in reversed(self._api.entries("post"))
        )
        return html(200, f"<h1>Practice WordPress</h1><ul>{links}</ul>")

    async def _rest(self, request: web.Request) -> web.StreamResponse:
        path = request.query.get("rest_route") or request.match_info.get("path") or "/"
        writes = request.method != "GET"
        publishes = writes and path.startswith("/wp/v2/posts")
        self.calls.append(f"{request.method} {path}")
        early = await apply_transport_faults(self, "site", write=publishes)
        if early is None:
            early = self._fault_of_the_site(publishes=publishes)
        if early is not None:
            return early
        try:
            call = await self._call(request, path)
            status, data = await self._api.handler(request.method, path)(call)
        except Refused as refused:
            return web.json_response(refused.body, status=refused.status)
        except web.HTTPRequestEntityTooLarge:
            return html(413, "<h1>413 Request Entity Too Large</h1>")
        answer = web.json_response(selected(data, call.params.get("_fields")), status=status)
        return spoil_answer(self, answer, "site") if publishes else answer

    def _fault_of_the_site(self, *, publishes: bool) -> web.Response | None:
        """What the web server, a firewall or a broken WordPress answers instead."""
        hit = self.faults.strike if publishes else self.faults.holds
        if self.faults.holds(FaultName.PAGE_GONE, "site"):
            return html(404, "<h1>Not Found</h1>")
        if self.faults.holds(FaultName.UNPUBLISHED, "site"):
            refused = Refused(404, "rest_no_route", "No route was found matching the URL.")
            return web.json_response(refused.body, status=404)
        throttled = hit(FaultName.THROTTLED, "site")
        if throttled is not None:
            wait = str(max(1, round(throttled.seconds)))
            return html(429, "Too many requests", {"Retry-After": wait})
        if hit(FaultName.SERVER_ERROR, "site"):
            return html(500, "<h1>Error establishing a database connection</h1>")
        return None

    async def _call(self, request: web.Request, path: str) -> Call:
        body = await request.read()
        if len(body) > UPLOAD_LIMIT:
            raise web.HTTPRequestEntityTooLarge(UPLOAD_LIMIT, len(body))
        fields: Mapping[str, Any] = {}
        if body and request.content_type == "application/json":
            try:
                sent = json.loads(body)
            except ValueError:
                raise Refused(400, "rest_invalid_json", "Invalid JSON body passed.") from None
            fields = sent if isinstance(sent, dict) else {}
        return Call(request, path, request.query, fields, body, self._member(request))

    def _member(self, request: web.Request) -> bool:
        given = request.headers.get(hdrs.AUTHORIZATION)
        if given is None:
            return False
        password = PASSWORD.replace(" ", "")
        try:
            login, _, secret = (
                base64.b64decode(given.removeprefix("Basic ")).decode().partition(":")
            )
        except ValueError:
            login = secret = ""
        if login != USERNAME:
            raise Refused(401, "invalid_username", "Error: Unknown username.")
        if secret.replace(" ", "") != password or self.faults.holds(FaultName.TOKEN_DEAD, "site"):
            raise Refused(
                401,
                "incorrect_password",
                "The provided password is an invalid application password.",
            )
        return True

    # --- what readers see ------------------------------------------------------------------------

    async def _upload(self, request: web.Request) -> web.StreamResponse:
        found = self._api.pictures.get(request.match_info["file"])
        if found is None:
            return html(404, "Not found")
        return web.Response(body=found[1], content_type=found[0])

    async def _page(self, request: web.Request) -> web.StreamResponse:
        return self._article(request, request.match_info["slug"])

    def _article(self, request: web.Request, slug: str) -> web.StreamResponse:
        desktop = not _PHONE.search(request.headers.get(hdrs.USER_AGENT, ""))
        hidden = (
            self.faults.holds(FaultName.PAGE_GONE, "site")
            or self.faults.holds(FaultName.UNPUBLISHED, "site")
            or (desktop and self.faults.holds(FaultName.PHONE_ONLY, "site"))
        )
        for post in () if hidden else self._api.entries("post"):
            visible = post.payload["status"] == "publish"
            if visible and post.payload["slug"] == slug:
                return html(200, f"<h1>{escape(post.text)}</h1>{post.payload['content']}")
        return html(404, "Page not found")


SANDBOX = WordPressSandbox
