"""`/preview/{post}`: the newsletter as its readers will see it, and a button that sends a test.

A mail's HTML is somebody's writing: it is shown in a sandboxed frame, without scripts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jinja2
from aiohttp import web

from scheduler.audience.address import AddressError, usable_address
from scheduler.proofs import Proofreader, Shown, said
from scheduler.refusals import Refusal, RefusedError
from scheduler.store import posts
from scheduler.store.tokens import Scope
from scheduler.web import session
from scheduler.web.api.mailings import MailingAnswer, figures
from scheduler.web.docs import PAGE_HEADERS, environment
from scheduler.web.keys import SERVICES
from scheduler.web.phrases import language_of

_WORDS: Mapping[str, Mapping[str, str]] = {
    "en": {
        "title": "Preview", "from": "From", "to": "To", "subject": "Subject", "size": "Size",
        "kb": "KB",
        "html": "As most readers see it", "phone": "On a phone", "text": "As text",
        "test": "Send me a test", "address": "Your own address", "contact": "As this contact (ID)",
        "show": "Show", "sent": "Sent to {address}: look at your mailbox.",
        "unsent": "Not sent: {why}", "back": "Overview",
        "hint": "Marked [test]; it counts nowhere and changes no list.", "colon": ": ",
        "figures": "What became of it", "selected": "chosen", "accepted": "accepted by the relay",
        "refused": "refused", "suppressed": "not written to", "uncertain": "uncertain",
        "waiting": "waiting", "unsubscribed": "unsubscribed", "clicks": "clicks",
        "not_sent": "not sent: cancelled before", "arrived": "arrived at their mailbox",
        "bounced": "came back", "complained": "called it spam",
        "clicked_by": "clicked, of those who let us note it",
        "opened_by": "opened, of those who let us note it",
        "page": "Its page",
    },
    "fr": {
        "title": "Aperçu", "from": "De", "to": "À", "subject": "Objet", "size": "Taille",
        "kb": "Ko",
        "html": "Vu par la plupart des lecteurs", "phone": "Sur un téléphone", "text": "En texte",
        "test": "M’envoyer un essai", "address": "Votre propre adresse",
        "contact": "Comme ce contact (identifiant)", "show": "Montrer",
        "sent": "Envoyé à {address} : regardez votre messagerie.",
        "unsent": "Pas envoyé : {why}", "back": "Vue d’ensemble",
        "hint": "Marqué [test] ; ne compte nulle part et ne change aucune liste.",
        "colon": "\u00a0: ", "figures": "Ce qu’elle est devenue", "selected": "choisis",
        "accepted": "acceptés par le relais", "refused": "refusés", "suppressed": "écartés",
        "uncertain": "incertains", "waiting": "en attente", "unsubscribed": "désinscrits",
        "not_sent": "non envoyés : annulé avant", "arrived": "arrivés dans la boîte",
        "bounced": "revenus", "complained": "signalés indésirables",
        "clicks": "clics", "clicked_by": "ont cliqué, parmi ceux qui acceptent qu’on le note",
        "opened_by": "ont ouvert, parmi ceux qui acceptent qu’on le note", "page": "Sa page",
    },
}  # fmt: skip
_COUNTS = (
    "selected", "accepted", "arrived", "refused", "suppressed", "uncertain", "waiting",
    "unsubscribed", "clicks",
)  # fmt: skip
_FRAMES = {
    **PAGE_HEADERS,
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src 'self'; frame-src 'self';"
        " form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Cache-Control": "no-store",
}
_MAIL = {
    **PAGE_HEADERS,
    "Content-Security-Policy": (
        "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none';"
        " style-src 'unsafe-inline'; img-src data: http: https:; frame-ancestors 'self'"
    ),
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
}


def setup_proofs(app: web.Application, proofreader: Proofreader) -> None:
    """Serve the page, the mail in its frame, and the form's target."""
    pages = _ProofPages(proofreader, environment())
    app.router.add_get("/preview/{post}", pages.page)
    app.router.add_post("/preview/{post}", pages.test)
    app.router.add_get("/preview/{post}/mail.html", pages.mail)


class _ProofPages:
    def __init__(self, proofreader: Proofreader, templates: jinja2.Environment) -> None:
        self._proofreader, self._templates = proofreader, templates

    async def page(self, request: web.Request) -> web.StreamResponse:
        """The mail with its head, beside the form of a test."""
        reader = await session.current(request, request.app[SERVICES])
        if reader is None:
            return web.Response(status=303, headers={"Location": "/login"})
        return await self._page(request, await self._shown(request), reader)

    async def mail(self, request: web.Request) -> web.StreamResponse:
        """What stands in the frame."""
        if await session.current(request, request.app[SERVICES]) is None:
            raise RefusedError(Refusal.FORBIDDEN, "sign in first")
        shown = await self._shown(request)
        return web.Response(text=shown.proof.html, content_type="text/html", headers=_MAIL)

    async def test(self, request: web.Request) -> web.StreamResponse:
        """Send a test."""
        reader = await session.current(request, request.app[SERVICES])
        form = await request.post()
        if reader is None or not reader.sent(form.get("word")):
            raise RefusedError(Refusal.FORBIDDEN, "this form does not come from a page you opened")
        if not reader.caller.may(Scope.WRITE):
            raise RefusedError(Refusal.FORBIDDEN, "your token has no write scope")
        words = _WORDS[self._language(request)]
        text = str(form.get("to", "")).strip()
        try:
            _, outcome = await self._proofreader.test(
                request.match_info["post"],
                account_id=_named(request, "account"),
                contact_id=_named(request, "contact"),
                address=usable_address(text),
                actor=reader.caller.actor,
            )
            why = said(outcome)
        except AddressError as error:
            why = str(error)
        except RefusedError as refused:
            why = refused.detail
        told = words["unsent"].format(why=why) if why else words["sent"].format(address=text)
        shown = await self._shown(request)
        return await self._page(request, shown, reader, told=told, bad=bool(why))

    async def _shown(self, request: web.Request) -> Shown:
        return await self._proofreader.show(
            request.match_info["post"],
            account_id=_named(request, "account"),
            contact_id=_named(request, "contact"),
        )

    async def _page(
        self,
        request: web.Request,
        shown: Shown,
        reader: session.Session,
        *,
        told: str = "",
        bad: bool = False,
    ) -> web.Response:
        language = self._language(request)
        page: Mapping[str, Any] = {
            "say": _WORDS[language], "language": language, "proof": shown.proof,
            "account": shown.member.account.name, "problems": shown.problems, "told": told,
            "bad": bad, "word": reader.word, "contact": _named(request, "contact") or "",
            "frame": f"{request.path}/mail.html?{request.query_string}",
            "figures": await _figures(request, shown.member.id), "counts": _COUNTS,
        }  # fmt: skip
        text = self._templates.get_template("proof.html").render(page)
        return web.Response(text=text, content_type="text/html", headers=_FRAMES)

    def _language(self, request: web.Request) -> str:
        asked = request.headers.get("Accept-Language", "")
        return language_of(asked, request.app[SERVICES].settings.language)


async def _figures(request: web.Request, account_id: str) -> MailingAnswer | None:
    """None while nobody was written to."""
    services = request.app[SERVICES]
    async with services.database.read() as connection:
        legs = await posts.deliveries_of(connection, [request.match_info["post"]])
    mine = [leg["id"] for leg in legs if leg["account_id"] == account_id and leg["part"] == "post"]
    found = await figures(services, mine[0]) if mine else None
    return found if found is not None and found["selected"] else None


def _named(request: web.Request, name: str) -> str | None:
    return request.query.get(name, "").strip() or None
