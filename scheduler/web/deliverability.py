"""`/deliverability/ACCOUNT`: whether a newsletter arrives, with the DNS records to copy."""

from __future__ import annotations

import jinja2
from aiohttp import web

from channels.inspection import Grade
from scheduler.refusals import RefusedError
from scheduler.web import session
from scheduler.web.api.deliverability import inspected
from scheduler.web.docs import PAGE_HEADERS, environment
from scheduler.web.keys import SERVICES
from scheduler.web.phrases import language_of

PHRASES = {
    "en": {
        "title": "Deliverability", "back": "Overview", "again": "Look again",
        "publish": "Record to publish", "name": "Name", "type": "Type", "value": "Value",
        "well": "All is well: nothing to do.", "mend": "{count} to mend.",
        "improve": "{count} to improve.",
        "ok": "well", "warning": "to improve", "error": "to mend",
        "spf": "SPF: who may send", "dkim": "DKIM: signature", "dmarc": "DMARC: policy",
        "ptr": "Name of the address", "helo": "Greeting", "tls": "Encryption",
        "form": "Form of the mail",
    },
    "fr": {
        "title": "Délivrabilité", "back": "Vue d’ensemble", "again": "Vérifier de nouveau",
        "publish": "Enregistrement à publier", "name": "Nom", "type": "Type", "value": "Valeur",
        "well": "Tout va bien : rien à faire.", "mend": "{count} à corriger.",
        "improve": "{count} à améliorer.",
        "ok": "bien", "warning": "à améliorer", "error": "à corriger",
        "spf": "SPF : qui peut envoyer", "dkim": "DKIM : signature", "dmarc": "DMARC : politique",
        "ptr": "Nom de l’adresse", "helo": "Salutation", "tls": "Chiffrement",
        "form": "Forme du message",
    },
}  # fmt: skip


def setup_deliverability(app: web.Application) -> None:
    """Serve the page."""
    app.router.add_get("/deliverability/{account_id}", Deliverability(environment()).page)


class Deliverability:
    """The handler, and the template it fills."""

    def __init__(self, templates: jinja2.Environment) -> None:
        self._templates = templates

    async def page(self, request: web.Request) -> web.StreamResponse:
        """Look now, and show what was found; for somebody signed in."""
        services = request.app[SERVICES]
        if await session.current(request, services) is None:
            return web.Response(status=303, headers={"Location": "/login"})
        account_id = request.match_info["account_id"]
        language = language_of(
            request.headers.get("Accept-Language", ""), services.settings.language
        )
        problem, found = "", []
        try:
            found = await inspected(services, account_id, language)
        except RefusedError as refused:
            problem = refused.detail
        members = await services.roster.everyone()
        text = self._templates.get_template("deliverability.html").render(
            language=language,
            say=PHRASES[language],
            account=members[account_id].account.name if account_id in members else "",
            found=found,
            bad=sum(one.grade is Grade.ERROR for one in found),
            poor=sum(one.grade is Grade.WARNING for one in found),
            problem=problem,
        )
        headers = {**PAGE_HEADERS, "Cache-Control": "no-store", "Vary": "Accept-Language"}
        return web.Response(
            text=text, content_type="text/html", status=404 if problem else 200, headers=headers
        )
