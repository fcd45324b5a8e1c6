"""The pictures of the practice LinkedIn: announced, uploaded, ready at the second look."""

from __future__ import annotations

import time
from urllib.parse import unquote

from aiohttp import web

from channels.linkedin.practice_reading import is_picture, sent, unreadable
from channels.linkedin.practice_rules import input_error, not_found
from channels.sandbox.ledger import Ledger

_KIND = "image"


class Pictures:
    """One page's; whoever uploads shows the page's `token`."""

    def __init__(self, ledger: Ledger, platform: str, page: str, token: str) -> None:
        self._ledger = ledger
        self._platform = platform
        self._page = page
        self._owner = f"urn:li:organization:{page}"
        self._token = token
        self.host = ""  # tests set another one to upload to
        self.authorizations: list[str | None] = []  # what each upload showed

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/rest/images", self._announce),
            web.put("/dms-uploads/{number}", self._upload),
            web.get("/rest/images/{urn}", self._look),
        ]

    def has(self, urn: str) -> bool:
        """This picture was uploaded."""
        image = self._ledger.get(self._platform, urn)
        return image is not None and image.kind == _KIND and image.payload["size"] > 0

    async def _announce(self, request: web.Request) -> web.StreamResponse:
        body = await sent(request)
        asked = body.get("initializeUploadRequest") if isinstance(body, dict) else None
        if not isinstance(asked, dict):
            return unreadable()
        if request.query.get("action") != "initializeUpload" or asked.get("owner") != self._owner:
            return input_error("INVALID_PARAMETER", "wrong owner or action", "/owner")
        number = self._ledger.next_number()
        urn = f"urn:li:image:C{number}"
        self._ledger.write(
            self._platform, self._page, kind=_KIND, remote_id=urn, text="",
            payload={"size": 0, "looks": 0},
        )  # fmt: skip
        origin = request.url.origin()
        upload = origin.with_host(self.host or str(origin.host)).with_path(
            f"/linkedin/dms-uploads/C{number}"
        )
        value = {"uploadUrlExpiresAt": int((time.time() + 3600) * 1000), "uploadUrl": str(upload)}
        return web.json_response({"value": {**value, "image": urn}})

    async def _upload(self, request: web.Request) -> web.StreamResponse:
        urn = f"urn:li:image:{request.match_info['number']}"
        entry = self._ledger.get(self._platform, urn)
        self.authorizations.append(request.headers.get("Authorization"))
        if entry is None or self.authorizations[-1] != f"Bearer {self._token}":
            return web.Response(status=401)
        content = await request.read()
        payload = {"size": len(content), "looks": 0, "bad": not is_picture(content)}
        self._ledger.update(self._platform, urn, text="", payload=payload)
        return web.Response(status=201)

    async def _look(self, request: web.Request) -> web.StreamResponse:
        urn = unquote(request.match_info["urn"])
        entry = self._ledger.get(self._platform, urn)
        if entry is None:
            return not_found("the image")
        looks = entry.payload["looks"] + 1
        self._ledger.update(self._platform, urn, text="", payload={**entry.payload, "looks": looks})
        status = "WAITING_UPLOAD"
        if entry.payload["size"]:
            done = "PROCESSING_FAILED" if entry.payload["bad"] else "AVAILABLE"
            status = done if looks > 1 else "PROCESSING"
        return web.json_response({"id": urn, "owner": self._owner, "status": status})
