"""The practice Mastodon: one account on one instance, with idempotency keys that last an hour."""

from __future__ import annotations

import html
import json
import re
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import regex
from aiohttp import BodyPartReader, web

from channels.sandbox.faults import FaultName
from channels.sandbox.ledger import Entry, Ledger
from channels.sandbox.server import (
    PracticeAccount,
    Sandbox,
    apply_transport_faults,
    spoil_answer,
)

ACCOUNT = "110000000000000001"
HANDLE = "rosa"
FOLLOWERS = 96
TOKEN = "practice-mastodon-token"  # noqa: S105 -- opens nothing real
KEYS_LAST = 3600.0
_FILE_MAX = 16 * 1024 * 1024

_FIELDS = frozenset(
    {
        "status", "media_ids", "poll", "in_reply_to_id", "sensitive", "spoiler_text",
        "visibility", "language", "scheduled_at",
    }
)  # fmt: skip
_VISIBILITIES = (None, "public", "unlisted", "private", "direct")
_LINK = re.compile(r"https?://[^\s<>\"]+")
_WORDS: Mapping[FaultName, tuple[int, str]] = {
    FaultName.TOKEN_DEAD: (401, "The access token was revoked"),
    FaultName.PERMISSION_LOST: (403, "This action is outside the authorized scopes"),
    FaultName.ROLE_LOST: (403, "Your login is currently disabled"),
    FaultName.PAGE_GONE: (410, "Gone"),
    FaultName.UNPUBLISHED: (410, "Gone"),
    FaultName.THROTTLED: (429, "Too many requests"),
    FaultName.SERVER_ERROR: (500, "Remote data could not be fetched"),
}

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def error(status: int, words: str, **headers: str) -> web.Response:
    return web.json_response({"error": words}, status=status, headers=headers)


class MastodonSandbox(Sandbox):
    """Ledger kinds: `post`, `media`."""

    name: ClassVar[str] = "mastodon"

    def __init__(self, ledger: Ledger) -> None:
        super().__init__(ledger)
        self._keys: dict[str, tuple[float, str]] = {}

    def app(self) -> web.Application:
        app = web.Application(middlewares=[self._gate], client_max_size=32 * 1024 * 1024)
        app.router.add_post("/api/v1/statuses", self._create)
        app.router.add_put("/api/v1/statuses/{id}", self._edit)
        app.router.add_delete("/api/v1/statuses/{id}", self._delete)
        app.router.add_post("/api/v2/media", self._upload)
        app.router.add_get("/api/v1/media/{id}", self._media)
        app.router.add_get("/api/v1/accounts/verify_credentials", self._me)
        app.router.add_get("/api/v1/accounts/{id}/statuses", self._statuses)
        app.router.add_route("*", "/api/{rest:.*}", self._unknown)
        app.router.add_get("/@{handle}/{id}", self._public_page)
        return app

    def accounts(self, base_url: str) -> Sequence[PracticeAccount]:
        settings = {"base_url": base_url, "access_token": TOKEN}
        return [PracticeAccount("mastodon", "Atelier Rosa on Mastodon", settings)]

    @web.middleware
    async def _gate(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if "/api/" not in request.path:
            return await handler(request)
        publishes = request.method == "POST" and request.path.endswith("/api/v1/statuses")
        stopped = await apply_transport_faults(self, ACCOUNT, write=publishes)
        stopped = stopped or self._fault(publishes=publishes)
        if stopped is not None:
            return stopped
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return error(401, "The access token is invalid")
        answer = await handler(request)
        written = publishes and answer.status == 200
        return spoil_answer(self, answer, ACCOUNT) if written else answer

    def _fault(self, *, publishes: bool) -> web.Response | None:
        hit = self.faults.strike if publishes else self.faults.holds
        for name, (status, words) in _WORDS.items():
            fault = hit(name, ACCOUNT)
            if fault is not None:
                reset = datetime.now(UTC) + timedelta(seconds=max(fault.seconds, 60))
                headers = {"X-RateLimit-Reset": reset.isoformat()} if status == 429 else {}
                return error(status, words, **headers)
        if publishes and hit(FaultName.REJECTED, ACCOUNT):
            return error(422, "Validation failed: Text is not allowed here")
        return None

    # --- Statuses --------------------------------------------------------------------------------

    async def _create(self, request: web.Request) -> web.StreamResponse:
        fields = await _sent(request)
        if isinstance(fields, web.Response):
            return fields
        key = request.headers.get("Idempotency-Key", "")
        known_at, known = self._keys.get(key, (0.0, ""))
        if known and time.monotonic() - known_at < KEYS_LAST:
            first = self.ledger.get(self.name, known)
            if first is not None:
                return web.json_response(self._status(request, first))
        refused = self._refusal(fields)
        if refused:
            return error(422, refused)
        status_id = str(116_000_000_000_000_000 + self.ledger.next_number())
        entry = self.ledger.write(
            self.name,
            ACCOUNT,
            kind="post",
            remote_id=status_id,
            text=fields.get("status", ""),
            key=key,
            payload=fields,
        )
        if key:
            self._keys[key] = (time.monotonic(), status_id)
        return web.json_response(self._status(request, entry))

    def _refusal(self, fields: Mapping[str, Any]) -> str:
        """Why a status is refused, in Mastodon's words; empty when it is not."""
        text, media = fields.get("status", ""), fields.get("media_ids", [])
        options = fields.get("poll", {}).get("options", ["a", "b"])
        counted = len(regex.findall(r"\X", _LINK.sub("x" * 23, text)))
        states = [self._media_state(media_id) for media_id in media]
        wrong = {
            "unknown parameter": bool(set(fields) - _FIELDS),
            "Text can't be blank": not text and not media,
            "Text character limit of 500 exceeded": counted > 500,
            "Cannot attach more than 4 files": len(media) > 4,
            "Cannot attach files to a poll": bool(media) and "poll" in fields,
            "Visibility is not included in the list": fields.get("visibility") not in _VISIBILITIES,
            "Media not found": None in states,
            "Files have not finished processing": False in states,
            "Poll options are invalid": not 2 <= len(options) <= 4
            or any(not 0 < len(option) <= 50 for option in options),
        }
        words = next((words for words, is_so in wrong.items() if is_so), "")
        return f"Validation failed: {words}" if words else ""

    def _media_state(self, media_id: str) -> bool | None:
        """Whether it is ready; None: there is no such file."""
        entry = self.ledger.get(self.name, media_id)
        return None if entry is None or entry.kind != "media" else bool(entry.payload["ready"])

    async def _edit(self, request: web.Request) -> web.StreamResponse:
        entry = self._post(request)
        if entry is None:
            return error(404, "Record not found")
        fields = await _sent(request)
        if isinstance(fields, web.Response):
            return fields
        refused = self._refusal({**fields, "media_ids": entry.payload.get("media_ids", [])})
        if refused:
            return error(422, refused)
        text = fields.get("status", "")
        payload = {**entry.payload, "status": text}
        self.ledger.update(self.name, entry.remote_id, text=text, payload=payload)
        edited = self._post(request)
        assert edited is not None
        return web.json_response(self._status(request, edited))

    async def _delete(self, request: web.Request) -> web.StreamResponse:
        entry = self._post(request)
        if entry is None:
            return error(404, "Record not found")
        self.ledger.delete(self.name, entry.remote_id)
        return web.json_response(self._status(request, entry))

    async def _statuses(self, request: web.Request) -> web.StreamResponse:
        if request.match_info["id"] != ACCOUNT:
            return error(404, "Record not found")
        asked = request.query.get("limit", "20")
        limit = min(int(asked), 40) if asked.isdecimal() else 20
        newest = self.ledger.entries(self.name, ACCOUNT, kind="post", newest=limit)
        return web.json_response([self._status(request, entry) for entry in newest])

    def _post(self, request: web.Request) -> Entry | None:
        entry = self.ledger.get(self.name, request.match_info["id"])
        exists = entry is not None and entry.kind == "post" and entry.deleted_at is None
        return entry if exists else None

    def _status(self, request: web.Request, entry: Entry) -> dict[str, Any]:
        when = datetime.fromtimestamp(entry.created_at, UTC)
        url = request.url.origin() / self.name / f"@{HANDLE}" / entry.remote_id
        return {
            "id": entry.remote_id,
            "created_at": when.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "visibility": entry.payload.get("visibility", "public"),
            "url": str(url),
            "content": _as_html(entry.text),
        }

    # --- Media, the account, the public page -----------------------------------------------------

    async def _upload(self, request: web.Request) -> web.StreamResponse:
        if request.content_type != "multipart/form-data":
            return error(422, "Validation failed: File can't be blank")
        parts = {}
        async for part in await request.multipart():
            assert isinstance(part, BodyPartReader)
            parts[part.name] = bytes(await part.read())
        file = parts.get("file", b"")
        if not file.startswith((b"\xff\xd8\xff", b"\x89PNG\r\n", b"GIF8", b"RIFF")):
            return error(422, "Validation failed: File content type is invalid")
        if len(file) > _FILE_MAX:
            return error(422, "Validation failed: File file size must be less than 16 MB")
        media_id = str(117_000_000_000_000_000 + self.ledger.next_number())
        alt = parts.get("description", b"").decode()
        self.ledger.write(
            self.name,
            ACCOUNT,
            kind="media",
            remote_id=media_id,
            text=alt,
            payload={"ready": False, "size": len(file)},
        )
        return web.json_response({"id": media_id, "type": "image", "url": None}, status=202)

    async def _media(self, request: web.Request) -> web.StreamResponse:
        media_id = request.match_info["id"]
        entry = self.ledger.get(self.name, media_id)
        if entry is None or entry.kind != "media":
            return error(404, "Record not found")
        payload = {**entry.payload, "ready": True}
        self.ledger.update(self.name, media_id, text=entry.text, payload=payload)
        return web.json_response({"id": media_id, "type": "image", "description": entry.text})

    async def _me(self, request: web.Request) -> web.StreamResponse:
        del request
        return web.json_response(
            {"id": ACCOUNT, "username": HANDLE, "acct": HANDLE, "followers_count": FOLLOWERS}
        )

    async def _unknown(self, request: web.Request) -> web.StreamResponse:
        del request
        return error(404, "Not Found")

    async def _public_page(self, request: web.Request) -> web.StreamResponse:
        entry = self._post(request)
        if entry is None or self.faults.holds(FaultName.PAGE_GONE, ACCOUNT):
            return web.Response(status=404, text="Not found")
        page = f'<!doctype html><meta charset="utf-8"><title>Mastodon</title>{_as_html(entry.text)}'
        return web.Response(text=page, content_type="text/html")


async def _sent(request: web.Request) -> dict[str, Any] | web.Response:
    """The fields of a body, or the refusal of one that cannot be read."""
    if request.content_type != "application/json":
        return error(415, "Unsupported media type")
    try:
        fields = json.loads(await request.read())
    except ValueError:
        fields = None
    return fields if isinstance(fields, dict) else error(400, "Error parsing JSON request body")


def _as_html(text: str) -> str:
    """Paragraphs, line breaks and shortened links, as an instance serves them."""
    paragraphs = (html.escape(part) for part in text.split("\n\n"))
    linked = (_LINK.sub(_linked, part).replace("\n", "<br />") for part in paragraphs)
    return "".join(f"<p>{part}</p>" for part in linked)


def _linked(match: re.Match[str]) -> str:
    scheme, rest = match[0].split("://", 1)
    return (
        f'<a href="{match[0]}" rel="nofollow noopener"><span class="invisible">{scheme}://</span>'
        f'<span class="ellipsis">{rest[:30]}</span><span class="invisible">{rest[30:]}</span></a>'
    )


SANDBOX = MastodonSandbox
