"""The page that asks before a post is taken down, and says what became of it."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from scheduler.refusals import not_found
from scheduler.store.tokens import Scope
from scheduler.web import glance, session
from scheduler.web.keys import SERVICES
from scheduler.web.reading import form_of, to
from scheduler.web.road_pages import Frame
from scheduler.withdrawal import ASK_AGAIN, TAKEN_DOWN


def setup_withdrawals(app: web.Application, frame: Frame) -> None:
    """Serve the page and its form's target."""
    pages = WithdrawPages(frame)
    app.router.add_get("/posts/{id}/withdraw", frame.told(pages.show))
    app.router.add_post("/posts/{id}/withdraw", frame.told(pages.withdraw))


class WithdrawPages:
    """The handlers."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame

    async def show(self, request: web.Request) -> web.StreamResponse:
        """What would be taken down, and what cannot be; nothing is done yet."""
        services = request.app[SERVICES]
        reader = await session.current(request, services)
        if reader is None:
            return to("/login")
        delivery = request.query.get("delivery", "")
        shown = await glance.withdrawal(services, request.match_info["id"], delivery)
        again = bool(shown["possible"])
        return self._page(request, reader, delivery, shown, asked=False, again=again)

    async def withdraw(self, request: web.Request) -> web.StreamResponse:
        """Ask the platforms."""
        services = request.app[SERVICES]
        reader, form = await form_of(request, Scope.WRITE)
        post_id, delivery = request.match_info["id"], str(form.get("delivery", ""))
        done = await services.withdrawer.chosen(post_id, delivery, reader.caller.actor)
        if not done:
            raise not_found("delivery", delivery)
        if all(one.fate in TAKEN_DOWN for one in done):
            return to(f"/posts/{post_id}")
        shown = await glance.withdrawn(services, post_id, done)
        again = any(one.fate in ASK_AGAIN for one in done)
        return self._page(request, reader, delivery, shown, asked=True, again=again)

    def _page(
        self,
        request: web.Request,
        reader: session.Session,
        delivery: str,
        shown: dict[str, Any],
        *,
        asked: bool,
        again: bool,
    ) -> web.Response:
        return self._frame.page(
            request, "withdraw.html", word=reader.word, delivery=delivery, asked=asked,
            again=again, **shown,
        )  # fmt: skip
