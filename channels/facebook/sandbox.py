"""A practice Facebook: pages, posts, pictures, comments, as strict as the documented API."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from aiohttp import web

from channels.facebook.practice.graph import (
    APP_ID,
    APP_SECRET,
    Call,
    GraphSandbox,
    PracticePage,
)
from channels.facebook.practice.paging import cursor_of, limit_of, page_of
from channels.facebook.practice.pictures import Pictures
from channels.facebook.practice.refusals import Refused, graph_time, no_such_object, wrong_parameter
from channels.facebook.practice.visitors import Visitors, is_ready
from channels.sandbox.ledger import Entry, Ledger
from channels.sandbox.server import PracticeAccount

TEXT_LIMIT = 63_206
COMMENT_LIMIT = 8_000
PROCESSING_SECONDS = 2.0
_FIRST_OBJECT = 122_100_000_000_000_000


class FacebookSandbox(GraphSandbox):
    """Ledger kinds: `post`, `photo` (a picture that no post shows yet), `comment`."""

    name: ClassVar[str] = "facebook"
    scopes: ClassVar[tuple[str, ...]] = (
        "pages_show_list",
        "pages_read_engagement",
        "pages_manage_posts",
        "pages_manage_engagement",
        "pages_read_user_content",
    )

    def __init__(self, ledger: Ledger) -> None:
        super().__init__(ledger)
        self._pictures = Pictures()
        self.processing_seconds = PROCESSING_SECONDS

    def accounts(self, base_url: str) -> Sequence[PracticeAccount]:
        return [
            PracticeAccount(
                adapter="facebook",
                name=page.name,
                settings={
                    "page_id": page.id,
                    "access_token": page.token,
                    "app_id": APP_ID,
                    "app_secret": APP_SECRET,
                    "base_url": base_url,
                    "www_url": f"{base_url}/www",
                },
            )
            for page in self.pages.values()
        ]

    def routes(self) -> list[web.RouteDef]:
        return [
            *Visitors(self, self._pictures).routes(),
            web.post("/{version}/{node}/feed", self.edge(self._feed)),
            web.post("/{version}/{node}/photos", self.edge(self._photos)),
            web.post("/{version}/{node}/videos", self.edge(self._videos)),
            web.get("/{version}/{node}/published_posts", self.edge(self._published_posts)),
            web.post("/{version}/{node}/comments", self.edge(self._comment)),
            web.get("/{version}/{node}/comments", self.edge(self._comments)),
            web.get(r"/{version}/{node:\d+}", self.edge(self.read_page)),
            web.post(r"/{version}/{node:\d+_\d+}", self.edge(self._edit)),
            web.delete(r"/{version}/{node:\d+_\d+}", self.edge(self._delete)),
        ]

    # --- publishing ------------------------------------------------------------------------------

    async def _feed(self, call: Call) -> Mapping[str, Any]:
        call.accept("message", "link", "published", "attached_media")
        page = self.own_page(call)
        text, link = call.values.get("message", ""), call.values.get("link", "")
        photos = self._attached(call.values.get("attached_media", ""), page)
        if call.values.get("published", "true") not in {"true", "1"}:
            raise wrong_parameter("This practice platform publishes at once")
        if not text and not link and not photos:
            raise Refused(
                197, "(#197) The post is empty. Please enter a message to share.", status=400
            )
        _check_text(text, TEXT_LIMIT)
        if link and not link.startswith(("http://", "https://")):
            raise Refused(1500, "(#1500) The url you supplied is invalid")
        if not photos:
            self._refuse_repeat(page, text, link)
        shown = [{"id": photo.remote_id, **photo.payload} for photo in photos]
        entry = self._write_post(page, text, {"link": link, "photos": shown})
        for photo in photos:
            self.ledger.delete(self.name, photo.remote_id)
        return call.selected(self._node(call, entry), kind="type (Post)")

    async def _photos(self, call: Call) -> Mapping[str, Any]:
        call.accept("url", "source", "caption", "alt_text_custom", "published")
        page = self.own_page(call)
        caption = call.values.get("caption", "")
        _check_text(caption, TEXT_LIMIT)
        picture = self._object_id()
        payload = {"alt": call.values.get("alt_text_custom", ""), **self._taken(call, picture)}
        if call.values.get("published", "true") in {"false", "0"}:
            self.ledger.write(
                self.name, page.id, kind="photo", remote_id=picture, text=caption, payload=payload
            )
            return {"id": picture}
        shown = [{"id": picture, **payload}]
        entry = self._write_post(page, caption, {"link": "", "photos": shown})
        return {"id": picture, "post_id": entry.remote_id}

    async def _videos(self, call: Call) -> Mapping[str, Any]:
        call.accept("file_url", "title", "description")
        page = self.own_page(call)
        address = call.values.get("file_url", "")
        if not address.startswith(("http://", "https://")):
            raise wrong_parameter("Param file_url must be a valid URL")
        text = call.values.get("description", "")
        _check_text(text, TEXT_LIMIT)
        video = self._object_id()
        payload = {
            "link": "",
            "photos": [],
            "video": {"id": video, "url": address, "title": call.values.get("title", "")},
            "ready_at": time.time() + self.processing_seconds,
        }
        self._write_post(page, text, payload)
        return {"id": video}

    async def _comment(self, call: Call) -> Mapping[str, Any]:
        call.accept("message", "attachment_url")
        post = self._existing(call, "post")
        text = call.values.get("message", "")
        _check_text(text, COMMENT_LIMIT)
        if not text:
            raise wrong_parameter("The parameter message is required")
        own = post.remote_id.split("_", 1)[1]
        entry = self.ledger.write(
            self.name,
            post.account,
            kind="comment",
            remote_id=f"{own}_{self._object_id()}",
            text=text,
            payload={"post": post.remote_id, "permalink_url": self._address(call, post)},
        )
        return call.selected(self._comment_node(entry), kind="type (Comment)")

    def _write_post(self, page: PracticePage, text: str, payload: Mapping[str, Any]) -> Entry:
        post = f"{page.id}_{self._object_id()}"
        return self.ledger.write(
            self.name, page.id, kind="post", remote_id=post, text=text, payload=payload
        )

    def _refuse_repeat(self, page: PracticePage, text: str, link: str) -> None:
        for last in self.ledger.entries(self.name, page.id, kind="post", newest=1):
            if last.text == text and last.payload["link"] == link:
                raise Refused(
                    506,
                    "(#506) Duplicate status message",
                    title="Duplicate Status Update",
                    text="This status update is identical to the last one you posted.",
                )

    def _attached(self, value: str, page: PracticePage) -> list[Entry]:
        """The unpublished pictures that a feed post names."""
        if not value:
            return []
        try:
            names = [item["media_fbid"] for item in json.loads(value)]
        except (ValueError, TypeError, KeyError) as error:
            raise wrong_parameter("Param attached_media must be an array of objects") from error
        found = [self.ledger.get(self.name, str(name)) for name in names]
        photos = [
            photo
            for photo in found
            if photo is not None
            and (photo.kind, photo.account, photo.deleted_at) == ("photo", page.id, None)
        ]
        if len(photos) != len(names):
            raise wrong_parameter("Param attached_media names media that cannot be attached")
        return photos

    def _taken(self, call: Call, picture: str) -> dict[str, str]:
        """What was uploaded, or fetched from the address that was given."""
        upload = call.files.get("source")
        if upload is None:
            address = call.values.get("url", "")
            if not address.startswith(("http://", "https://")):
                raise Refused(324, "(#324) Requires upload file")
            return {"url": address, "type": ""}
        kind = self._pictures.take(picture, upload.file.read())
        return {"url": "", "type": kind}

    def _object_id(self) -> str:
        return str(_FIRST_OBJECT + self.ledger.next_number())

    # --- reading, changing -----------------------------------------------------------------------

    async def _published_posts(self, call: Call) -> Mapping[str, Any]:
        call.accept("limit", "after")
        page = self.own_page(call)
        limit = limit_of(call)
        entries = self.ledger.entries(
            self.name, page.id, kind="post", newest=limit + 1, before=cursor_of(call)
        )
        ready = [entry for entry in entries[:limit] if is_ready(entry)]
        data = [call.selected(self._node(call, entry), kind="type (Post)") for entry in ready]
        return page_of(data, entries, limit, call)

    async def _comments(self, call: Call) -> Mapping[str, Any]:
        call.accept("filter", "order", "limit", "after")
        post = self._existing(call, "post")
        limit = limit_of(call)
        entries = [
            entry
            for entry in self.ledger.entries(
                self.name, post.account, kind="comment", newest=10_000, before=cursor_of(call)
            )
            if entry.payload["post"] == post.remote_id
        ][: limit + 1]
        nodes = [self._comment_node(entry) for entry in entries[:limit]]
        data = [call.selected(node, kind="type (Comment)") for node in nodes]
        return page_of(data, entries, limit, call)

    async def _edit(self, call: Call) -> Mapping[str, Any]:
        call.accept("message")
        entry = self._existing(call, "post", "comment")
        text = call.values.get("message", "")
        _check_text(text, TEXT_LIMIT if entry.kind == "post" else COMMENT_LIMIT)
        if not text:
            raise wrong_parameter("The parameter message is required")
        payload = {**entry.payload, "edited": True}
        self.ledger.update(self.name, entry.remote_id, text=text, payload=payload)
        return {"success": True}

    async def _delete(self, call: Call) -> Mapping[str, Any]:
        call.accept()
        entry = self._existing(call, "post", "comment")
        self.ledger.delete(self.name, entry.remote_id)
        return {"success": True}

    def _existing(self, call: Call, *kinds: str) -> Entry:
        node = call.request.match_info["node"]
        entry = self.ledger.get(self.name, node)
        if entry is None or entry.deleted_at is not None or entry.kind not in kinds:
            raise no_such_object(node, call.request.method)
        if entry.account != call.page.id:
            raise no_such_object(node, call.request.method)
        return entry

    def _node(self, call: Call, entry: Entry) -> dict[str, Any]:
        link = entry.payload["link"]
        attached = [{"url": link, "unshimmed_url": link, "type": "share"}] if link else []
        return {
            "id": entry.remote_id,
            "message": entry.text or None,
            "created_time": graph_time(entry.created_at),
            "permalink_url": self._address(call, entry),
            "status_type": "shared_story" if link else "mobile_status_update",
            "attachments": {"data": attached} if attached else None,
        }

    def _comment_node(self, entry: Entry) -> dict[str, Any]:
        page = self.pages[entry.account]
        return {
            "id": entry.remote_id,
            "message": entry.text,
            "created_time": graph_time(entry.created_at),
            "from": {"id": page.id, "name": page.name},
            "permalink_url": entry.payload["permalink_url"],
        }

    def _address(self, call: Call, entry: Entry) -> str:
        return f"{self.www(call.request)}/{entry.account}/posts/{entry.remote_id}"


def _check_text(text: str, limit: int) -> None:
    if len(text.encode("utf-16-le", "surrogatepass")) // 2 > limit:
        raise wrong_parameter(f"Param message must be no longer than {limit} characters")


SANDBOX = FacebookSandbox
