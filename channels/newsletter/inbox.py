"""The practice inbox: mails that the practice relay took, shown as a reader would see them.

A mail's HTML is somebody's writing: it is shown in a sandboxed frame, without scripts.
"""

from __future__ import annotations

import re
from base64 import b64encode
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from functools import cache
from pathlib import Path

from aiohttp import web
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from channels.sandbox.ledger import Entry, Ledger

SHOWN = 200

_PAGE_POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-src 'self'; base-uri 'none'"
_MAIL_POLICY = (
    "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'; "
    "style-src 'unsafe-inline'; img-src data: http: https:"
)
_CID = re.compile(r"cid:([\w.@-]+)")


@cache
def _templates() -> Environment:
    loader = FileSystemLoader(Path(__file__).with_name("templates"))
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined)


def inbox_app(ledger: Ledger, platform: str) -> web.Application:
    """`/`: the newest mails; `/mail/{id}`: one of them; `…/html`, `…/source`: its parts."""
    app = web.Application()

    def entry(request: web.Request) -> Entry:
        found = ledger.get(platform, request.match_info["id"])
        if found is None:
            raise web.HTTPNotFound(text="no such mail")
        return found

    async def inbox(request: web.Request) -> web.Response:
        mails = [_summary(e) for e in ledger.entries(platform, newest=SHOWN)]
        return _page("inbox.html.jinja", base=request.path.rstrip("/"), mails=mails)

    async def one(request: web.Request) -> web.Response:
        found = entry(request)
        mail = _parsed(found)
        plain = mail.get_body(("plain",))
        return _page(
            "mail_view.html.jinja",
            base=request.path.partition("/mail/")[0],
            mail=_summary(found),
            headers=[(name, str(value)) for name, value in mail.items()],
            text=plain.get_content() if plain is not None else "",
        )

    async def html(request: web.Request) -> web.Response:
        return web.Response(
            text=_html_part(_parsed(entry(request))),
            content_type="text/html",
            headers={"Content-Security-Policy": _MAIL_POLICY},
        )

    async def source(request: web.Request) -> web.Response:
        return web.Response(
            text=str(entry(request).payload["source"]),
            content_type="text/plain",
            headers={"X-Content-Type-Options": "nosniff"},
        )

    app.router.add_get("/", inbox)
    app.router.add_get("/mail/{id}", one)
    app.router.add_get("/mail/{id}/html", html)
    app.router.add_get("/mail/{id}/source", source)
    return app


def _page(template: str, **values: object) -> web.Response:
    return web.Response(
        text=_templates().get_template(template).render(values),
        content_type="text/html",
        headers={"Content-Security-Policy": _PAGE_POLICY},
    )


def _parsed(entry: Entry) -> EmailMessage:
    raw = str(entry.payload["source"]).encode("utf-8", "surrogateescape")
    mail = message_from_bytes(raw, policy=policy.default)
    assert isinstance(mail, EmailMessage)
    return mail


def _summary(entry: Entry) -> dict[str, object]:
    subject, _, text = entry.text.partition("\n\n")
    return {
        "id": entry.remote_id,
        "sender": entry.payload["sender"],
        "recipient": entry.payload["recipient"],
        "subject": subject,
        "beginning": " ".join(text.split())[:140],
        "at": datetime.fromtimestamp(entry.created_at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC"),
    }


def _html_part(mail: EmailMessage) -> str:
    """The HTML with the pictures that travel in the mail put in their places."""
    body = mail.get_body(("html",))
    if body is None:
        return "<p>This mail has no HTML part.</p>"
    pictures = {
        str(part["Content-ID"]).strip("<>"): part
        for part in mail.walk()
        if part["Content-ID"] is not None and isinstance(part, EmailMessage)
    }

    def inlined(found: re.Match[str]) -> str:
        part = pictures.get(found[1])
        if part is None:
            return found[0]
        data = b64encode(part.get_content()).decode("ascii")
        return f"data:{part.get_content_type()};base64,{data}"

    return '<base target="_blank">' + _CID.sub(inlined, body.get_content())
