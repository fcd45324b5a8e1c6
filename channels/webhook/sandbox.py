"""The practice receiver: checks each signature, takes each `webhook-id` once, shows what it got."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from aiohttp import web
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from channels.sandbox.faults import FaultName
from channels.sandbox.server import (
    PracticeAccount,
    Sandbox,
    apply_transport_faults,
    spoil_answer,
)

SECRET = "whsec_cHJhY3RpY2Utd2ViaG9vay1zZWNyZXQtMzItYnl0ZXM="  # noqa: S105 -- opens nothing real
ACCOUNT = "receiver"
_FAULTS: Mapping[FaultName, int] = {
    FaultName.TOKEN_DEAD: 401,
    FaultName.PERMISSION_LOST: 403,
    FaultName.ROLE_LOST: 403,
    FaultName.PAGE_GONE: 410,
    FaultName.UNPUBLISHED: 404,
    FaultName.THROTTLED: 429,
    FaultName.SERVER_ERROR: 500,
}


class WebhookSandbox(Sandbox):
    name: ClassVar[str] = "webhook"

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_post("/in", self._receive)
        app.router.add_get("/events/{id}", self._public_page)
        return app

    def accounts(self, base_url: str) -> Sequence[PracticeAccount]:
        settings = {"url": f"{base_url}/in", "secret": SECRET}
        return [PracticeAccount("webhook", "Whatever listens", settings)]

    async def _receive(self, request: web.Request) -> web.StreamResponse:
        body = (await request.read()).decode("utf-8", "replace")
        try:
            Webhook(SECRET).verify(body, dict(request.headers), json_parse=False)
        except WebhookVerificationError as error:
            return web.json_response({"error": str(error)}, status=401)
        event = _event(body)
        if event is None or request.content_type != "application/json":
            return web.json_response({"error": "this is no event"}, status=400)
        publishes = event["type"] == "post.published"
        stopped = await apply_transport_faults(self, ACCOUNT, write=publishes)
        stopped = stopped or self._fault(publishes=publishes)
        if stopped is not None:
            return stopped
        if not publishes:
            return web.Response(status=204)
        return spoil_answer(self, self._take(request, event), ACCOUNT)

    def _fault(self, *, publishes: bool) -> web.Response | None:
        hit = self.faults.strike if publishes else self.faults.holds
        for name, status in _FAULTS.items():
            fault = hit(name, ACCOUNT)
            if fault is not None:
                headers = {"Retry-After": str(int(fault.seconds) or 1)} if status == 429 else {}
                return web.json_response({"error": name}, status=status, headers=headers)
        if publishes and hit(FaultName.REJECTED, ACCOUNT):
            return web.json_response({"error": "not this"}, status=422)
        return None

    def _take(self, request: web.Request, event: Mapping[str, object]) -> web.Response:
        event_id = request.headers["webhook-id"]
        data = event["data"]
        assert isinstance(data, dict)
        if self.ledger.get(self.name, event_id) is None:
            self.ledger.write(
                self.name,
                ACCOUNT,
                kind="post",
                remote_id=event_id,
                key=event_id,
                text=str(data["text"]),
                payload=data,
            )
        url = request.url.origin() / self.name / "events" / event_id
        return web.json_response({"id": event_id, "url": str(url)})

    async def _public_page(self, request: web.Request) -> web.StreamResponse:
        entry = self.ledger.get(self.name, request.match_info["id"])
        if entry is None:
            return web.Response(status=404, text="no such event")
        page = f'<!doctype html><meta charset="utf-8"><pre>{html.escape(entry.text)}</pre>'
        return web.Response(text=page, content_type="text/html")


def _event(body: str) -> dict[str, Any] | None:
    """What was sent, None when it has not the form of an event."""
    try:
        event = json.loads(body)
    except ValueError:
        return None
    if not isinstance(event, dict) or not isinstance(event.get("type"), str):
        return None
    data = event.get("data")
    if event["type"] == "post.published" and (not isinstance(data, dict) or "text" not in data):
        return None
    return event


SANDBOX = WebhookSandbox
