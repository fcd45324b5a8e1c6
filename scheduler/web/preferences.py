"""`/preferences/{token}`: what a reader receives, what we know of them, and an end to it.

The link comes by mail alone, on the reader's request: the links of a newsletter travel on when it
is forwarded, and may unsubscribe but show nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import structlog
from aiohttp import web

from scheduler.answers import Row
from scheduler.audience import tracking
from scheduler.audience.exporting import person
from scheduler.audience.links import UnsubscribeLinks
from scheduler.audience.names import one_line
from scheduler.audience.signup import AGAIN_AFTER, PREFERENCES, opened
from scheduler.audience.suppression import fingerprint
from scheduler.audience.wording import version_of
from scheduler.services import Services
from scheduler.store import audience, contacts, lists, service_mails, traces
from scheduler.store.audience import Action, Consent, Standing
from scheduler.store.db import Connection
from scheduler.web.public import Press, form_of, key_of, reader_language
from scheduler.web.reader_phrases import PHRASES

log = structlog.get_logger()
_FORM = "/preferences"


def setup_preferences(app: web.Application, services: Services, press: Press) -> None:
    """Serve the page, and the button that asks for its link."""
    handlers = _Preferences(services, press)
    app.router.add_post("/u/{token}/manage", handlers.send_link)
    app.router.add_get("/preferences/{token}", handlers.show)
    app.router.add_post("/preferences/{token}", handlers.act)
    app.router.add_post("/preferences/{token}/again", handlers.send_again)
    app.router.add_get("/preferences/{token}/data.json", handlers.data)


class _Preferences:
    def __init__(self, services: Services, press: Press) -> None:
        self._services, self._press = services, press
        self._key = key_of(services)
        self._links = UnsubscribeLinks(services.settings.effective_public_url, self._key)

    async def send_link(self, request: web.Request) -> web.Response:
        """Mail the link to the address that we know."""
        named = self._links.read(request.match_info["token"])
        return self._unknown(request) if named is None else await self._send(request, *named)

    async def send_again(self, request: web.Request) -> web.Response:
        """The same, for whoever has a link that does not open the page any more."""
        named = self._named(request)
        return self._unknown(request) if named is None else await self._send(request, *named[:2])

    async def _send(self, request: web.Request, contact_id: str, list_id: str) -> web.Response:
        database = self._services.database
        async with database.write() as connection:
            known = await contacts.get(connection, contact_id)
            language = reader_language(request, "" if known is None else known["language"])
            if known is not None and known["email"]:
                await service_mails.ask(
                    connection,
                    database,
                    contact_id=contact_id,
                    list_id=list_id,
                    kind=PREFERENCES,
                    language=language,
                    now=self._services.clock.micros(),
                    again_after=AGAIN_AFTER,
                )
        return self._press.notice(request, "data_mailed", "data_mailed_text", language=language)

    async def show(self, request: web.Request) -> web.Response:
        """What we send them and know of them."""
        async with self._services.database.read() as connection:
            known = await self._known(request, connection)
        return self._closed(request) if known is None else self._page(request, known)

    async def data(self, request: web.Request) -> web.Response:
        """Everything we hold about them, to take away."""
        async with self._services.database.read() as connection:
            known = await self._known(request, connection)
        if known is None:
            return self._closed(request)
        for one in known["lists"]:
            del one["choices"]  # what the page asks, not what we hold
        return web.json_response(
            known, headers={"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
        )

    async def act(self, request: web.Request) -> web.Response:
        """Save their choices, or erase them."""
        form = await form_of(request)
        async with self._services.database.write() as connection:
            known = await self._known(request, connection)
            if known is None:
                return self._closed(request)
            if form.get("do") == "erase":
                await self._erase(connection, known["id"])
            elif form.get("do") == "save":
                await self._save(connection, known, form)
                known = await self._known(request, connection)
                assert known is not None  # the transaction saw them
        if form.get("do") == "erase":
            return self._press.notice(
                request, "erased", "erased_text",
                language=reader_language(request, known["language"]),
            )  # fmt: skip
        return self._page(request, known, saved=form.get("do") == "save")

    async def _erase(self, connection: Connection, contact_id: str) -> None:
        await contacts.erase(
            connection,
            self._services.database,
            contact_id=contact_id,
            key=self._key,
            now=self._services.clock.micros(),
        )
        log.info("reader.erased", contact=contact_id)

    async def _save(
        self, connection: Connection, known: dict[str, Any], form: dict[str, str]
    ) -> None:
        now = self._services.clock.micros()
        values = {"name": one_line(form.get("name", ""))}
        if form.get("language") in PHRASES:
            values["language"] = form["language"]
        await contacts.change(connection, known["id"], values, now=now)
        for one in known["lists"]:
            ids = {"contact_id": known["id"], "list_id": one["list_id"]}
            if f"list-{one['list_id']}" not in form:
                await audience.unsubscribe(connection, **ids, source=_FORM, now=now)
                continue
            if one["state"] != Standing.SUBSCRIBED:
                consent = Consent(
                    action=Action.SUBSCRIBE, at=now, form=_FORM, source=_FORM, wording=one["name"],
                    wording_version=version_of(one["name"]),
                    confirmed_at=now,
                )  # fmt: skip
                await audience.subscribe(
                    connection, self._services.database, **ids, consent=consent, now=now
                )
            # They wrote it here by a link that reached them by mail.
            if known["email"]:
                await audience.lift(connection, fingerprint(self._key, known["email"]))
            await self._track(connection, one, form, ids, now)

    async def _track(
        self,
        connection: Connection,
        one: dict[str, Any],
        form: dict[str, str],
        ids: dict[str, str],
        now: int,
    ) -> None:
        """What they agree to beside, and what they take back."""
        for choice in one["choices"]:
            if form.get(choice["name"]) == choice["version"]:
                consent = Consent(
                    action=traces.GIVEN[choice["kind"]], at=now, form=_FORM, source=_FORM,
                    wording=choice["wording"], wording_version=choice["version"], confirmed_at=now,
                )  # fmt: skip
                await traces.agree(connection, **ids, kind=choice["kind"], consent=consent)
            else:
                await traces.take_back(
                    connection, **ids, kind=choice["kind"], source=_FORM, now=now
                )

    async def _known(self, request: web.Request, connection: Connection) -> dict[str, Any] | None:
        """Everything about whom the link names, each list with its name."""
        named = self._named(request)
        found = await person(connection, named[0]) if named is not None and named[2] else None
        if found is not None:
            known = {row["id"]: row for row in await lists.listed(connection)}
            language = reader_language(request, found["language"])
            found["lists"] = [
                {
                    **one,
                    "name": known[one["list_id"]]["name"],
                    "choices": _choices(one, known[one["list_id"]], language),
                }
                for one in found["lists"]
            ]
        return found

    def _named(self, request: web.Request) -> tuple[str, str, bool] | None:
        now = self._services.clock.micros()
        return opened(self._key, request.match_info["token"], now=now)

    def _page(
        self, request: web.Request, known: dict[str, Any], *, saved: bool = False
    ) -> web.Response:
        return self._press.page(
            request,
            "preferences.html",
            "preferences",
            language=reader_language(request, known["language"]),
            saved=saved,
            email=known["email"],
            name=known["name"],
            lists=known["lists"],
            data=f"/preferences/{request.match_info['token']}/data.json",
        )

    def _closed(self, request: web.Request) -> web.Response:
        """No page, and why."""
        named = self._named(request)
        if named is None or named[2]:
            return self._unknown(request)
        return self._press.notice(
            request, "expired", "expired_text", language=reader_language(request), status=410,
            manage=f"/preferences/{request.match_info['token']}/again",
        )  # fmt: skip

    def _unknown(self, request: web.Request) -> web.Response:
        return self._press.notice(
            request, "unknown", "unknown_text", language=reader_language(request), status=404
        )


def _choices(one: Mapping[str, Any], own: Row, language: str) -> list[dict[str, Any]]:
    """What a reader may agree to beside one list, or has agreed to; `own`: the list's row."""
    agreed = tracking.kinds_in(one["tracking"])
    offered = tracking.kinds_in(own["tracking"])
    made = []
    for kind in sorted(agreed | offered):
        wording = tracking.wording_of(kind, own["name"], language)
        made.append(
            {
                "kind": kind,
                "name": f"track-{kind}-{own['id']}",
                "wording": wording,
                "version": version_of(wording),
                "agreed": kind in agreed,
            }
        )
    return made
