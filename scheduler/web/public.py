"""Pages for readers and not for the owner: in their language, without cookie, script or trace."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jinja2
from aiohttp import web

from scheduler.audience.links import audience_key
from scheduler.services import Services
from scheduler.web.docs import PAGE_HEADERS, environment
from scheduler.web.keys import SERVICES
from scheduler.web.phrases import language_of
from scheduler.web.reader_phrases import PHRASES

# The address of such a page is its reader's key: it goes nowhere and into no cache.
_HEADERS = {
    **PAGE_HEADERS,
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "X-Robots-Tag": "noindex",
    "Vary": "Accept-Language",
}


class Press:
    """Prints the pages of one application."""

    def __init__(self, templates: jinja2.Environment | None = None) -> None:
        self._templates = templates or environment()

    def page(
        self,
        request: web.Request,
        name: str,
        title: str,
        /,
        *,
        language: str,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        **shown: Any,
    ) -> web.Response:
        """The template `audience/{name}`; `title`: a phrase, or what to say instead of one."""
        text = self._templates.get_template(f"audience/{name}").render(
            language=language,
            site=request.app[SERVICES].settings.site_name,
            say=PHRASES[language],
            title=PHRASES[language].get(title, title),
            **shown,
        )
        return web.Response(
            text=text,
            content_type="text/html",
            status=status,
            headers={**_HEADERS, **(headers or {})},
        )

    def notice(
        self,
        request: web.Request,
        title: str,
        text: str,
        *,
        language: str,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        manage: str = "",
        **words: str,
    ) -> web.Response:
        """A page that only says something: the phrases `title` and `text`, `words` filled in.
        `manage`: where the reader's link to their data is asked for."""
        said = PHRASES[language][text].format_map(words)
        return self.page(
            request,
            "notice.html",
            title,
            language=language,
            status=status,
            headers=headers,
            text=said,
            manage=manage,
        )


def reader_language(request: web.Request, own: str = "") -> str:
    """`fr` or `en`: the contact's own, else the browser's, else the service's."""
    asked = request.headers.get("Accept-Language", "")
    return language_of(f"{own},{asked}", request.app[SERVICES].settings.language)


async def form_of(request: web.Request) -> dict[str, str]:
    """The text fields of a form, urlencoded or multipart; empty when it cannot be read."""
    try:
        form = await request.post()
    except ValueError:  # a multipart body that is none
        return {}
    return {name: value for name, value in form.items() if isinstance(value, str)}


def key_of(services: Services) -> bytes:
    """The key of personal links and of the never-again list."""
    settings = services.settings
    return audience_key(settings.audience_key.get_secret_value(), settings.data_dir)
