"""`/u/{token}`: one-click unsubscribe by RFC 8058.

Mail programs and mail scanners open every link: a GET shows a page and changes nothing. The POST
with `List-Unsubscribe=One-Click` that the mail's header announces, or the page's button, which
sends the same, takes the reader off the list. A run that is going on looks again every half
second.
"""

from __future__ import annotations

import structlog
from aiohttp import web

from scheduler.audience.links import UnsubscribeLinks
from scheduler.audience.wording import version_of
from scheduler.services import Services
from scheduler.store import audience
from scheduler.store.audience import Action, Consent, Standing
from scheduler.web.keys import SERVICES
from scheduler.web.public import Press, form_of, key_of, reader_language
from scheduler.web.reader_phrases import PHRASES

ONE_CLICK = {"List-Unsubscribe": "One-Click"}
log = structlog.get_logger()


def setup_unsubscribe(app: web.Application, services: Services, press: Press) -> None:
    """Serve the links that every mail carries."""
    links = UnsubscribeLinks(services.settings.effective_public_url, key_of(services))
    handlers = _Unsubscribe(links, press)
    app.router.add_get("/u/{token}", handlers.ask)
    app.router.add_post("/u/{token}", handlers.leave)


class _Unsubscribe:
    def __init__(self, links: UnsubscribeLinks, press: Press) -> None:
        self._links = links
        self._press = press

    async def ask(self, request: web.Request) -> web.Response:
        """The page with the button; reads, never writes."""
        return await self._asked(request, status=200)

    async def leave(self, request: web.Request) -> web.Response:
        """Take the reader off the list; the second time is as good as the first."""
        named = self._links.read(request.match_info["token"])
        if named is None:
            return self._unknown(request)
        form = await form_of(request)
        if form.get("stay") == "yes":
            return await self._stay(request, *named)
        if any(form.get(name) != value for name, value in ONE_CLICK.items()):
            return await self._asked(request, status=400)
        contact_id, list_id = named
        services = request.app[SERVICES]
        async with services.database.write() as connection:
            person = await audience.standing(connection, contact_id, list_id)
            left = await audience.unsubscribe(
                connection,
                contact_id=contact_id,
                list_id=list_id,
                source="one-click link",
                now=services.clock.micros(),
            )
        if left:
            log.info("reader.left", contact=contact_id, list=list_id)
        if person is None or person["list_name"] is None:
            return self._not_on(request, known=person is not None)
        return self._press.notice(
            request,
            "left",
            "left_text",
            language=reader_language(request, person["language"]),
            manage=_manage(request),
            list=person["list_name"],
        )

    async def _stay(self, request: web.Request, contact_id: str, list_id: str) -> web.Response:
        """They were asked again, and said yes: new evidence, in the words of the page."""
        services = request.app[SERVICES]
        now = services.clock.micros()
        async with services.database.write() as connection:
            person = await audience.standing(connection, contact_id, list_id)
            if person is None or person["list_name"] is None:
                return self._not_on(request)
            language = reader_language(request, person["language"])
            wording = PHRASES[language]["stay_text"].format(list=person["list_name"])
            consent = Consent(
                action=Action.RENEW, at=now, form="/u", wording=wording,
                wording_version=version_of(wording), source="link of a mail", confirmed_at=now,
            )  # fmt: skip
            stays = await audience.renew(
                connection, contact_id=contact_id, list_id=list_id, consent=consent
            )
        if not stays:
            return self._not_on(request)
        log.info("reader.stays", contact=contact_id, list=list_id)
        return self._press.notice(
            request, "stays", "stays_text", language=language, list=person["list_name"]
        )

    async def _asked(self, request: web.Request, *, status: int) -> web.Response:
        named = self._links.read(request.match_info["token"])
        if named is None:
            return self._unknown(request)
        async with request.app[SERVICES].database.read() as connection:
            person = await audience.standing(connection, *named)
        if person is None or person["state"] in {None, Standing.UNSUBSCRIBED}:
            return self._not_on(request, known=person is not None)
        language = reader_language(request, person["language"])
        words = PHRASES[language]
        text = words["leave_ask"].format(list=person["list_name"], address=masked(person["email"]))
        return self._press.page(
            request,
            "ask.html",
            "leave",
            language=language,
            status=status,
            text=text,
            fields=ONE_CLICK,
            button=words["leave"],
            hint=words["leave_hint"],
            stay=words["stay_text"].format(list=person["list_name"]),
            manage=_manage(request),
        )

    def _not_on(self, request: web.Request, *, known: bool = False) -> web.Response:
        """Whoever left may still want to see what we know of them."""
        return self._press.notice(
            request, "not_on", "not_on_text", language=reader_language(request),
            manage=_manage(request) if known else "",
        )  # fmt: skip

    def _unknown(self, request: web.Request) -> web.Response:
        return self._press.notice(
            request, "unknown", "unknown_text", language=reader_language(request), status=404
        )


def _manage(request: web.Request) -> str:
    return f"/u/{request.match_info['token']}/manage"


def masked(address: str | None) -> str:
    """`a…@example.org`: enough for its owner, too little for whoever got the mail forwarded."""
    local, _, domain = (address or "").rpartition("@")
    return f"{local[:1]}…@{domain}"
