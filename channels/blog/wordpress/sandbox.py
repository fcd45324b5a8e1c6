"""A practice WordPress: posts, media and terms by REST v2, as strict as core 6.x, and the public
page of each post. Both `/wp-json/…` and `?rest_route=…` answer."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, ClassVar

from aiohttp import hdrs, web

from channels.blog.wordpress.sandbox_rules import (
    STATUSES,
    Refused,
    check_picture,
    check_post,
    file_name,
    html,
    invalid,
    sanitised,
    selected,
)
from channels.sandbox.faults import FaultName
from channels.sandbox.ledger import Entry, Ledger
from channels.sandbox.server import (
    PracticeAccount,
    Sandbox,
    apply_transport_faults,
    spoil_answer,
)

USERNAME = "courier"
PASSWORD = "prac tice pass word only here"  # noqa: S105 -- opens nothing but the practice platform
READABLE = (*STATUSES, "trash", "inherit", "any")
UPLOAD_LIMIT = 2 * 1024 * 1024
_TAXONOMIES = {"categories": "category", "tags": "post_tag"}
_PHONE = re.compile("Mobile|Android|iPhone")


@dataclass(frozen=True, slots=True)
class Call:
    """One REST request. `params` are those of the query; `fields` those of a JSON body."""

    request: web.Request
    path: str
    params: Mapping[str, str]
    fields: Mapping[str, Any]
    body: bytes
    member: bool


Handler = Callable[[Call], Awaitable[tuple[int, Any]]]


class WordPressSandbox(Sandbox):
    """Ledger kinds: `post`, `media`, `category`, `post_tag`. One site, account `site`."""

    name: ClassVar[str] = "wordpress"

    def __init__(self, ledger: Ledger) -> None:
        super().__init__(ledger)
        self.calls: list[str] = []
        self._pictures: dict[str, tuple[str, bytes]] = {}

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
        app = web.Application(client_max_size=UPLOAD_LIMIT)
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
        links = "".join(
            f'<li><a href="{escape(str(post.payload["link"]))}">{escape(post.text)}</a></li>'
            for post in reversed(self._entries("post"))
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
            status, data = await self._handler(request.method, path)(call)
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
        fields: Mapping[str, Any] = {}
        if body and request.content_type == "application/json":
            try:
                fields = json.loads(body)
            except ValueError:
                raise Refused(400, "rest_invalid_json", "Invalid JSON body passed.") from None
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

    def _handler(self, method: str, path: str) -> Handler:
        routes: dict[tuple[str, str], Handler] = {
            ("GET", "/"): self._index,
            ("GET", "/wp/v2/users/me"): self._me,
            ("GET", "/wp/v2/posts"): self._list_posts,
            ("POST", "/wp/v2/posts"): self._create_post,
            ("GET", "/wp/v2/media"): self._list_media,
            ("POST", "/wp/v2/media"): self._create_media,
        }
        for taxonomy in _TAXONOMIES:
            routes["GET", f"/wp/v2/{taxonomy}"] = self._list_terms
            routes["POST", f"/wp/v2/{taxonomy}"] = self._create_term
        if re.fullmatch(r"/wp/v2/posts/\d+", path):
            routes["POST", path] = self._edit_post
            routes["DELETE", path] = self._trash_post
        handler = routes.get((method, path))
        if handler is None:
            raise Refused(404, "rest_no_route", "No route was found matching the URL and method.")
        return handler

    # --- reading ---------------------------------------------------------------------------------

    async def _index(self, _call: Call) -> tuple[int, Any]:
        return 200, {"name": "Practice WordPress", "namespaces": ["oembed/1.0", "wp/v2"]}

    async def _me(self, call: Call) -> tuple[int, Any]:
        if not call.member:
            raise Refused(401, "rest_not_logged_in", "You are not currently logged in.")
        may = not self.faults.holds(FaultName.ROLE_LOST, "site")
        may_write = not self.faults.holds(FaultName.PERMISSION_LOST, "site")
        abilities = {"publish_posts": may and may_write, "upload_files": may_write}
        return 200, {"id": 1, "name": USERNAME, "capabilities": abilities}

    async def _list_posts(self, call: Call) -> tuple[int, Any]:
        wanted = [part for part in call.params.get("status", "publish").split(",") if part]
        unknown = [part for part in wanted if part not in READABLE]
        if unknown or (not call.member and wanted != ["publish"]):
            raise invalid("status", "Status is forbidden.")
        slugs = call.params.get("slug", "").split(",")
        return 200, [
            _shown(post)
            for post in reversed(self._entries("post", deleted=True))
            if post.payload["status"] in wanted
            and ("slug" not in call.params or post.payload["slug"] in slugs)
        ]

    async def _list_media(self, call: Call) -> tuple[int, Any]:
        slugs = call.params.get("slug", "").split(",")
        return 200, [
            {"id": int(entry.remote_id), **entry.payload}
            for entry in self._entries("media")
            if "slug" not in call.params or entry.payload["slug"] in slugs
        ]

    async def _list_terms(self, call: Call) -> tuple[int, Any]:
        search = call.params.get("search", "").casefold()
        return 200, [
            {"id": int(term.remote_id), "name": escape(term.text)}
            for term in self._entries(_taxonomy(call))
            if search in term.text.casefold()
        ]

    # --- writing ---------------------------------------------------------------------------------

    async def _create_post(self, call: Call) -> tuple[int, Any]:
        self._may(call, "rest_cannot_create", "Sorry, you are not allowed to create posts.")
        if call.fields.get("status") == "publish" and self.faults.holds(
            FaultName.ROLE_LOST, "site"
        ):
            raise Refused(
                403, "rest_cannot_publish", "Sorry, you are not allowed to publish posts."
            )
        if self.faults.strike(FaultName.REJECTED, "site"):
            raise invalid("content", "content is refused by a plugin.")
        check_post(call.fields)
        fields = call.fields
        if not any(fields.get(name) for name in ("title", "content", "excerpt")):
            raise Refused(400, "empty_content", "Content, title, and excerpt are empty.")
        number = self.ledger.next_number()
        slug = self._free_slug(sanitised(fields.get("slug") or fields.get("title") or str(number)))
        payload = {
            "slug": slug,
            "status": fields.get("status", "draft"),
            "link": f"{call.request.url.origin()}/{self.name}/{slug}/",
            "content": fields.get("content", ""),
            "excerpt": fields.get("excerpt", ""),
            "categories": self._existing("category", fields.get("categories", [])),
            "tags": self._existing("post_tag", fields.get("tags", [])),
            "featured_media": fields.get("featured_media", 0),
        }
        post = self._write("post", number, str(fields.get("title", "")), payload)
        return 201, _shown(post)

    async def _edit_post(self, call: Call) -> tuple[int, Any]:
        post = self._post(call)
        self._may(call, "rest_cannot_edit", "Sorry, you are not allowed to edit this post.")
        check_post(call.fields)
        changed = {
            name: call.fields[name]
            for name in ("content", "excerpt", "featured_media")
            if name in call.fields
        }
        title = str(call.fields.get("title", post.text))
        payload = {**post.payload, **changed}
        self.ledger.update(self.name, post.remote_id, text=title, payload=payload)
        return 200, {"id": int(post.remote_id), **payload}

    async def _trash_post(self, call: Call) -> tuple[int, Any]:
        post = self._post(call)
        self._may(call, "rest_cannot_delete", "Sorry, you are not allowed to delete this post.")
        if post.payload["status"] == "trash":
            raise Refused(410, "rest_already_trashed", "The post has already been deleted.")
        slug = f"{post.payload['slug']}__trashed"
        payload = {**post.payload, "status": "trash", "slug": slug}
        self.ledger.update(self.name, post.remote_id, text=post.text, payload=payload)
        self.ledger.delete(self.name, post.remote_id)
        return 200, {"id": int(post.remote_id), **payload}

    async def _create_media(self, call: Call) -> tuple[int, Any]:
        self._may(call, "rest_cannot_create", "Sorry, you are not allowed to upload media.")
        if not call.body:
            raise Refused(400, "rest_upload_no_data", "No data supplied.")
        if not call.request.content_type or call.request.content_type == "application/octet-stream":
            raise Refused(400, "rest_upload_no_content_type", "No Content-Type supplied.")
        name = file_name(call.request.headers.get(hdrs.CONTENT_DISPOSITION))
        expected = call.request.headers.get(hdrs.CONTENT_MD5)
        if expected and expected != hashlib.md5(call.body, usedforsecurity=False).hexdigest():
            raise Refused(412, "rest_upload_hash_mismatch", "Content hash did not match expected.")
        check_picture(call.body, name)
        self._pictures[name] = (call.request.content_type, call.body)
        payload = {
            "slug": sanitised(call.params.get("slug") or name.rsplit(".", 1)[0]),
            "alt_text": call.params.get("alt_text", ""),
            "source_url": f"{call.request.url.origin()}/{self.name}/wp-content/uploads/{name}",
        }
        entry = self._write("media", self.ledger.next_number(), name, payload)
        return 201, {"id": int(entry.remote_id), **payload}

    async def _create_term(self, call: Call) -> tuple[int, Any]:
        kind = _taxonomy(call)
        self._may(call, "rest_cannot_create", "Sorry, you are not allowed to create terms.")
        name = re.sub("<[^>]*>", "", str(call.fields.get("name", ""))).strip()
        if not name:
            raise Refused(
                400, "rest_missing_callback_param", "Missing parameter(s): name", params=["name"]
            )
        for term in self._entries(kind):
            if term.text.casefold() == name.casefold():
                raise Refused(
                    400, "term_exists", "A term with the name provided already exists.",
                    term_id=int(term.remote_id),
                )  # fmt: skip
        term = self._write(kind, self.ledger.next_number(), name, {})
        return 201, {"id": int(term.remote_id), "name": escape(name)}

    # --- what is there ---------------------------------------------------------------------------

    def _may(self, call: Call, code: str, message: str) -> None:
        if not call.member:
            raise Refused(401, code, message)
        if self.faults.holds(FaultName.PERMISSION_LOST, "site"):
            raise Refused(403, code, message)

    def _entries(self, kind: str, *, deleted: bool = False) -> list[Entry]:
        return self.ledger.entries(self.name, "site", kind=kind, deleted=deleted)

    def _write(self, kind: str, number: int, text: str, payload: Mapping[str, Any]) -> Entry:
        return self.ledger.write(
            self.name, "site", kind=kind, remote_id=str(number), text=text, payload=payload
        )

    def _post(self, call: Call) -> Entry:
        entry = self.ledger.get(self.name, call.path.rsplit("/", 1)[-1])
        if entry is None or entry.kind != "post":
            raise Refused(404, "rest_post_invalid_id", "Invalid post ID.")
        return entry

    def _existing(self, kind: str, numbers: Sequence[int]) -> list[int]:
        """WordPress drops the numbers that mean nothing, and says nothing."""
        known = {int(term.remote_id) for term in self._entries(kind)}
        return [number for number in numbers if number in known]

    def _free_slug(self, wanted: str) -> str:
        taken = {post.payload["slug"] for post in self._entries("post", deleted=True)}
        number, slug = 1, wanted
        while slug in taken:
            number += 1
            slug = f"{wanted}-{number}"
        return slug

    # --- what readers see ------------------------------------------------------------------------

    async def _upload(self, request: web.Request) -> web.StreamResponse:
        found = self._pictures.get(request.match_info["file"])
        if found is None:
            return html(404, "Not found")
        return web.Response(body=found[1], content_type=found[0])

    async def _page(self, request: web.Request) -> web.StreamResponse:
        desktop = not _PHONE.search(request.headers.get(hdrs.USER_AGENT, ""))
        hidden = (
            self.faults.holds(FaultName.PAGE_GONE, "site")
            or self.faults.holds(FaultName.UNPUBLISHED, "site")
            or (desktop and self.faults.holds(FaultName.PHONE_ONLY, "site"))
        )
        for post in () if hidden else self._entries("post"):
            visible = post.payload["status"] == "publish"
            if visible and post.payload["slug"] == request.match_info["slug"]:
                return html(200, f"<h1>{escape(post.text)}</h1>{post.payload['content']}")
        return html(404, "Page not found")


def _taxonomy(call: Call) -> str:
    return _TAXONOMIES[call.path.rsplit("/", 1)[-1]]


def _shown(post: Entry) -> dict[str, Any]:
    return {"id": int(post.remote_id), **post.payload, "title": {"rendered": escape(post.text)}}


SANDBOX = WordPressSandbox
