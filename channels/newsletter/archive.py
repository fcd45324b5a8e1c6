"""A letter as a page that shows nobody's data, and a letter whose links lead by ours."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from dataclasses import replace

from channels.newsletter.compose import content_id
from channels.newsletter.holes import impersonal
from channels.newsletter.render import words
from channels.newsletter.template import CLICK_QUERY, OPEN_PICTURE
from channels.posts import Media, Message

_READER = re.compile(r"<!--reader-->.*?<!--/reader-->", re.DOTALL)
_BROWSER = re.compile(r"<!--browser-->.*?<!--/browser-->", re.DOTALL)
_LINK = re.compile(r'(<a\b[^>]*?\bhref=")(https?://[^"]+)(")')
_FOOT = "\n\n-- \n"
_STYLE = "font-size: 13px; color: #5c6370;"


def page_of(
    message: Message, *, picture: Callable[[Media], str], ways: tuple[tuple[str, str], ...]
) -> str:
    """`picture`: where one that travels inside the mail is served; `ways`: label and address of
    what stands at the top instead of the reader's own links."""
    page = _READER.sub("", message.html)
    page = _BROWSER.sub(lambda _: "".join(_way(label, url) for label, url in ways), page)
    for media in message.media:
        inside = html.escape(f"cid:{content_id(media)}")
        if inside in page:
            page = page.replace(inside, html.escape(picture(media)))
    return impersonal(page)


def linked(
    message: Message,
    *,
    page_url: str | None,
    redirect: Callable[[str], str] | None,
    by_person: bool = False,
    opens: bool = False,
) -> Message:
    """With a link to its page, and the links of its HTML part led by `redirect`. An address that
    holds a reader's own value stays as it is: it would be in ours. `by_person`, `opens`: see
    `Archives`."""
    page, text = message.html, message.text
    query = f"{{{{{CLICK_QUERY}}}}}" if by_person else ""
    if redirect is not None:
        page = _LINK.sub(lambda found: _led(found, redirect, query), page)
    if opens:
        before, body, after = page.rpartition("</body>")
        page = f"{before}{{{{{OPEN_PICTURE}}}}}{body}{after}"
    if page_url is not None:
        label = words(message.language)["browser"]
        line = f"{label}{words(message.language)['colon']}"
        page = _BROWSER.sub(lambda _: _way(label, page_url), page)
        body, foot, rest = text.rpartition(_FOOT)
        body = re.sub(rf"\n\n{re.escape(line)}\S+$", "", body)  # where its article is, on the blog
        text = f"{body}\n\n{line}{page_url}{foot}{rest}"
    return replace(message, html=page, text=text)


def _led(found: re.Match[str], redirect: Callable[[str], str], query: str) -> str:
    url = html.unescape(found[2])
    if "{{" in url or "%7B%7B" in url.upper():
        return found[0]
    return f"{found[1]}{html.escape(redirect(url))}{query}{found[3]}"


def _way(label: str, url: str) -> str:
    return f' · <a href="{html.escape(url)}" style="{_STYLE}">{html.escape(label)}</a>'
