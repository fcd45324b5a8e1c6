"""A practice Ghost: posts and images by the Admin API, as strict as 6.x, and the public page of
each post."""

from __future__ import annotations

import io
import re
import uuid
from collections.abc import Awaitable, Callable, Sequence
from html import escape
from typing import Any, ClassVar

from aiohttp import hdrs, web
from PIL import Image, UnidentifiedImageError

from channels.blog.ghost.sandbox_rules import (
    KEY_ID,
    KEY_SECRET,
    Refused,
    check,
    check_token,
    html,
    now,
    post_fields,
    shown,
    unauthorised,
)
from channels.sandbox.faults import FaultName
from channels.sandbox.ledger import Entry, Ledger
from channels.sandbox.server import (
    PracticeAccount,
    Sandbox,
    apply_transport_faults,
    spoil_answer,
)

_IMAGE_TYPES = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})
_BODY_MAX = 8 * 1024 * 1024  # what the web server before it takes
_PHONE = re.compile("Mobile|Android|iPhone")

Answered = tuple[int, Any]


class GhostSandbox(Sandbox):
    """Ledger kinds: `post`, `image`. One site, account `site`."""

    name: ClassVar[str] = "ghost"

    def __init__(self, ledger: Ledger) -> None:
        super().__init__(ledger)
        self.calls: list[str] = []
        self._pictures: dict[str, tuple[str, bytes]] = {}

    def accounts(self, base_url: str) -> Sequence[PracticeAccount]:
        return [
            PracticeAccount(
                adapter="blog.ghost",
                name="Practice Ghost",
                settings={"url": base_url, "admin_api_key": f"{KEY_ID}:{KEY_SECRET}"},
            )
        ]

    def app(self) -> web.Application:
        app = web.Application()
        api = "/ghost/api/admin"
        app.add_routes(
            [
                web.get(f"{api}/site/", self._call(self._site, signed=False)),
                web.get(f"{api}/config/", self._call(self._config)),
                web.get(f"{api}/posts/", self._call(self._browse)),
                web.post(f"{api}/posts/", self._call(self._add, writes=True)),
                web.get(f"{api}/posts/slug/{{slug}}/", self._call(self._read_slug)),
                web.get(f"{api}/posts/{{id}}/", self._call(self._read)),
                web.put(f"{api}/posts/{{id}}/", self._call(self._edit, writes=True)),
                web.post(f"{api}/images/upload/", self._call(self._upload)),
                web.route("*", f"{api}/{{rest:.*}}", self._call(self._unknown)),
                web.get("/content/images/{file}", self._picture),
                web.get("/{slug}/", self._page),
            ]
        )
        return app

    # --- one request -----------------------------------------------------------------------------

    def _call(
        self,
        handler: Callable[[web.Request], Awaitable[Answered]],
        *,
        writes: bool = False,
        signed: bool = True,
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handle(request: web.Request) -> web.StreamResponse:
            self.calls.append(f"{request.method} {request.path.split('/ghost/api/admin')[-1]}")
            early = await apply_transport_faults(self, "site", write=writes)
            if (request.content_length or 0) > _BODY_MAX:
                early = html(413, "<h1>413 Request Entity Too Large</h1>")
            if early is None and self.faults.holds(FaultName.PAGE_GONE, "site"):
                early = html(404, "Site not found")
            if early is not None:
                return early
            try:
                self._refuse_by_fault(writes=writes)
                if signed:
                    self._check_token(request)
                status, data = await handler(request)
            except Refused as refused:
                headers = {}
                if refused.status == 429:
                    headers["Retry-After"] = str(self._wait)
                return web.json_response(
                    {"errors": [refused.error]}, status=refused.status, headers=headers
                )
            answer = web.json_response(data, status=status)
            return spoil_answer(self, answer, "site") if writes else answer

        return handle

    _wait = 1

    def _refuse_by_fault(self, *, writes: bool) -> None:
        hit = self.faults.strike if writes else self.faults.holds
        if self.faults.holds(FaultName.UNPUBLISHED, "site"):
            raise Refused(503, "MaintenanceError", "Site is currently under maintenance.")
        throttled = hit(FaultName.THROTTLED, "site")
        if throttled is not None:
            self._wait = max(1, round(throttled.seconds))
            raise Refused(429, "TooManyRequestsError", "Too many requests.")
        if hit(FaultName.SERVER_ERROR, "site"):
            raise Refused(500, "InternalServerError", "An unexpected error occurred.")
        if writes and self.faults.strike(FaultName.REJECTED, "site"):
            raise Refused(422, "ValidationError", "Validation error, cannot save.", name="title")

    def _check_token(self, request: web.Request) -> None:
        if self.faults.holds(FaultName.TOKEN_DEAD, "site"):
            raise unauthorised("UNKNOWN_ADMIN_API_KEY", "Unknown Admin API Key")
        check_token(request)
        for fault in (FaultName.PERMISSION_LOST, FaultName.ROLE_LOST):
            if self.faults.holds(fault, "site"):
                raise Refused(403, "NoPermissionError", "You do not have permission to do this")

    # --- the API ---------------------------------------------------------------------------------

    async def _unknown(self, _request: web.Request) -> Answered:
        raise Refused(404, "NotFoundError", "Resource not found")

    async def _site(self, request: web.Request) -> Answered:
        url = f"{request.url.origin()}/{self.name}/"
        return 200, {"site": {"title": "Practice Ghost", "url": url, "version": "6.0"}}

    async def _config(self, _request: web.Request) -> Answered:
        return 200, {"config": {"version": "6.0.0", "environment": "practice"}}

    async def _browse(self, request: web.Request) -> Answered:
        wanted = re.fullmatch(r"slug:\[([a-z0-9_,-]*)\]", request.query.get("filter", ""))
        if "filter" in request.query and wanted is None:
            raise Refused(400, "BadRequestError", "Error parsing filter")
        slugs = wanted[1].split(",") if wanted else None
        fields = request.query.get("fields", "id,slug,url,status,title").split(",")
        found = [
            {name: value for name, value in shown(post).items() if name in fields}
            for post in self._posts()
            if slugs is None or post.payload["slug"] in slugs
        ]
        return 200, {"posts": found, "meta": {"pagination": {"total": len(found)}}}

    async def _read(self, request: web.Request) -> Answered:
        return 200, {"posts": [shown(self._post(request))]}

    async def _read_slug(self, request: web.Request) -> Answered:
        for post in self._posts():
            if post.payload["slug"] == request.match_info["slug"]:
                return 200, {"posts": [shown(post)]}
        raise Refused(404, "NotFoundError", "Resource not found error, cannot read post.")

    async def _add(self, request: web.Request) -> Answered:
        fields = await post_fields(request)
        if not fields.get("title"):
            raise Refused(
                422, "ValidationError", "Validation error, cannot save post.", name="title"
            )
        check(fields)
        wanted = fields.get("slug") or re.sub(r"[^a-z0-9]+", "-", fields["title"].lower())
        slug = self._free_slug(wanted.strip("-"))
        payload = {
            "uuid": str(uuid.uuid4()),
            "slug": slug,
            "url": f"{request.url.origin()}/{self.name}/{slug}/",
            "status": fields.get("status", "draft"),
            "html": fields.get("html", "") if request.query.get("source") == "html" else "",
            "custom_excerpt": fields.get("custom_excerpt"),
            "feature_image": fields.get("feature_image"),
            "feature_image_alt": fields.get("feature_image_alt"),
            "tags": [tag["name"] for tag in fields.get("tags", [])],
            "updated_at": now(),
        }
        post = self.ledger.write(
            self.name,
            "site",
            kind="post",
            remote_id=f"{self.ledger.next_number():024x}",
            text=fields["title"],
            payload=payload,
        )
        return 201, {"posts": [shown(post)]}

    async def _edit(self, request: web.Request) -> Answered:
        post = self._post(request)
        fields = await post_fields(request)
        check(fields)
        if fields.get("updated_at") != post.payload["updated_at"]:
            raise Refused(
                409,
                "UpdateCollisionError",
                "Saving failed! Someone else is editing this post.",
                code="UPDATE_COLLISION",
            )
        changes: dict[str, Any] = {
            name: fields[name] for name in ("status", "custom_excerpt") if name in fields
        }
        if "html" in fields and request.query.get("source") == "html":
            changes["html"] = fields["html"]
        payload = {**post.payload, **changes, "updated_at": now()}
        title = fields.get("title", post.text)
        self.ledger.update(self.name, post.remote_id, text=title, payload=payload)
        return 200, {"posts": [{**payload, "id": post.remote_id, "title": title}]}

    async def _upload(self, request: web.Request) -> Answered:
        form = await request.post() if request.content_type == "multipart/form-data" else {}
        file = form.get("file")
        if not isinstance(file, web.FileField):
            raise Refused(422, "ValidationError", "Please select an image.")
        content = file.file.read()
        try:
            with Image.open(io.BytesIO(content)) as image:
                real = Image.MIME.get(str(image.format), "")
        except (UnidentifiedImageError, OSError):
            real = ""
        if file.content_type not in _IMAGE_TYPES or real != file.content_type:
            raise Refused(415, "UnsupportedMediaTypeError", "Please select a valid image.")
        name = f"{self.ledger.next_number()}-{file.filename}"
        self._pictures[name] = (file.content_type, content)
        url = f"{request.url.origin()}/{self.name}/content/images/{name}"
        self.ledger.write(self.name, "site", kind="image", remote_id=name, text=name)
        return 201, {"images": [{"url": url, "ref": form.get("ref")}]}

    # --- what is there, and what readers see -----------------------------------------------------

    def _posts(self) -> list[Entry]:
        return self.ledger.entries(self.name, "site", kind="post")

    def _post(self, request: web.Request) -> Entry:
        entry = self.ledger.get(self.name, request.match_info["id"])
        if entry is None or entry.kind != "post" or entry.deleted_at is not None:
            raise Refused(404, "NotFoundError", "Resource not found error, cannot read post.")
        return entry

    def _free_slug(self, wanted: str) -> str:
        taken = {post.payload["slug"] for post in self._posts()}
        number, slug = 1, wanted
        while slug in taken:
            number += 1
            slug = f"{wanted}-{number}"
        return slug

    async def _picture(self, request: web.Request) -> web.StreamResponse:
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
        for post in () if hidden else self._posts():
            visible = post.payload["status"] == "published"
            if visible and post.payload["slug"] == request.match_info["slug"]:
                return html(200, f"<h1>{escape(post.text)}</h1>{post.payload['html']}")
        return html(404, "Page not found")


SANDBOX = GhostSandbox
