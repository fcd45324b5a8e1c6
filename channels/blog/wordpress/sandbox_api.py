"""The REST API of the practice WordPress: its routes, and what they read and write."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from aiohttp import hdrs, web

from channels.blog.wordpress.sandbox_rules import (
    STATUSES,
    Refused,
    check_picture,
    check_post,
    file_name,
    invalid,
    sanitised,
)
from channels.sandbox.faults import FaultName, Faults
from channels.sandbox.ledger import Entry, Ledger

PLATFORM = "wordpress"
USERNAME = "courier"
READABLE = (*STATUSES, "trash", "inherit", "any")
_TAXONOMIES = {"categories": "category", "tags": "post_tag"}


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


class RestApi:
    """One site's API. Ledger kinds: `post`, `media`, `category`, `post_tag`.

    `pictures`: type and bytes of what was uploaded, by file name; lost with the process.
    """

    def __init__(self, ledger: Ledger, faults: Faults) -> None:
        self.ledger = ledger
        self.faults = faults
        self.pictures: dict[str, tuple[str, bytes]] = {}

    def handler(self, method: str, path: str) -> Handler:
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
            for post in reversed(self.entries("post", deleted=True))
            if post.payload["status"] in wanted
            and ("slug" not in call.params or post.payload["slug"] in slugs)
        ]

    async def _list_media(self, call: Call) -> tuple[int, Any]:
        slugs = call.params.get("slug", "").split(",")
        return 200, [
            {"id": int(entry.remote_id), **entry.payload}
            for entry in self.entries("media")
            if "slug" not in call.params or entry.payload["slug"] in slugs
        ]

    async def _list_terms(self, call: Call) -> tuple[int, Any]:
        search = call.params.get("search", "").casefold()
        return 200, [
            {"id": int(term.remote_id), "name": escape(term.text)}
            for term in self.entries(_taxonomy(call))
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
            "link": f"{call.request.url.origin()}/{PLATFORM}/{slug}/",
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
        self.ledger.update(PLATFORM, post.remote_id, text=title, payload=payload)
        return 200, {"id": int(post.remote_id), **payload}

    async def _trash_post(self, call: Call) -> tuple[int, Any]:
        post = self._post(call)
        self._may(call, "rest_cannot_delete", "Sorry, you are not allowed to delete this post.")
        if post.payload["status"] == "trash":
            raise Refused(410, "rest_already_trashed", "The post has already been deleted.")
        slug = f"{post.payload['slug']}__trashed"
        payload = {**post.payload, "status": "trash", "slug": slug}
        self.ledger.update(PLATFORM, post.remote_id, text=post.text, payload=payload)
        self.ledger.delete(PLATFORM, post.remote_id)
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
        self.pictures[name] = (call.request.content_type, call.body)
        payload = {
            "slug": sanitised(call.params.get("slug") or name.rsplit(".", 1)[0]),
            "alt_text": call.params.get("alt_text", ""),
            "source_url": f"{call.request.url.origin()}/{PLATFORM}/wp-content/uploads/{name}",
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
        for term in self.entries(kind):
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

    def entries(self, kind: str, *, deleted: bool = False) -> list[Entry]:
        return self.ledger.entries(PLATFORM, "site", kind=kind, deleted=deleted)

    def _write(self, kind: str, number: int, text: str, payload: Mapping[str, Any]) -> Entry:
        return self.ledger.write(
            PLATFORM, "site", kind=kind, remote_id=str(number), text=text, payload=payload
        )

    def _post(self, call: Call) -> Entry:
        entry = self.ledger.get(PLATFORM, call.path.rsplit("/", 1)[-1])
        if entry is None or entry.kind != "post":
            raise Refused(404, "rest_post_invalid_id", "Invalid post ID.")
        return entry

    def _existing(self, kind: str, numbers: Sequence[int]) -> list[int]:
        """WordPress drops the numbers that mean nothing, and says nothing."""
        known = {int(term.remote_id) for term in self.entries(kind)}
        return [number for number in numbers if number in known]

    def _free_slug(self, wanted: str) -> str:
        taken = {post.payload["slug"] for post in self.entries("post", deleted=True)}
        number, slug = 1, wanted
        while slug in taken:
            number += 1
            slug = f"{wanted}-{number}"
        return slug


def _taxonomy(call: Call) -> str:
    return _TAXONOMIES[call.path.rsplit("/", 1)[-1]]


def _shown(post: Entry) -> dict[str, Any]:
    return {"id": int(post.remote_id), **post.payload, "title": {"rendered": escape(post.text)}}
