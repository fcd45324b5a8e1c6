"""What filters hold against the form of a mail, read from the mail itself."""

from __future__ import annotations

import re
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import MIMEPart
from html.parser import HTMLParser
from urllib.parse import urlsplit

# Gmail shows the first 102 KB of HTML and hides the rest, the unsubscribe link with it.
CLIPPED_AT = 102 * 1024
# Fewer letters than this beside a picture, and the picture is the mail.
_FEW_LETTERS = 60
_FRAME = frozenset({"preheader", "top", "foot"})
_HOST = re.compile(r"(?:https?://)?((?:[a-z0-9-]+\.)+[a-z]{2,})(?:[/?#:]\S*)?", re.IGNORECASE)
_PICTURE = re.compile("<img", re.IGNORECASE)
_LINK = re.compile("<a[^a-z>][^>]*>(.*?)</a", re.IGNORECASE | re.DOTALL)
_TAG = re.compile("<[^>]*>")


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault of form: its code, and what it was found in."""

    code: str
    detail: str = ""


def faults(raw: bytes) -> list[Fault]:
    """What is wrong with a whole mail as it leaves; empty when nothing."""
    message = message_from_bytes(raw, policy=policy.default)
    found = []
    if "https://" not in str(message["List-Unsubscribe"]):
        offered = str(message["List-Unsubscribe"] or "").partition(",")[0]
        found.append(Fault("one-click-missing", offered.strip("<>")[:60]))
    elif message["List-Unsubscribe-Post"] != "List-Unsubscribe=One-Click":
        found.append(Fault("one-click-missing", "List-Unsubscribe-Post"))
    plain, html = message.get_body(("plain",)), message.get_body(("html",))
    if plain is None or not _said(plain).strip():
        found.append(Fault("text-missing"))
    if html is None:
        return found
    size = len(html.as_bytes())
    if size > CLIPPED_AT:
        found.append(Fault("clipped", f"{size // 1024} KB"))
    return [*found, *html_faults(_said(html))]


def html_faults(html: str) -> list[Fault]:
    """What is wrong with the words and links of an HTML part."""
    if not _worth_reading(html):
        return []
    reader = _Reader()
    reader.feed(html)
    reader.close()
    found = [Fault("link-differs", f"{words} → {host}") for words, host in reader.differing]
    if reader.pictures and reader.letters < _FEW_LETTERS:
        found.append(Fault("only-image"))
    return found


def _worth_reading(html: str) -> bool:
    """Whether there is a picture, or a link whose words may be an address: reading a mail for
    faults takes 300 us, looking for these 7, and each accepted post pays."""
    if _PICTURE.search(html):
        return True
    said = (_TAG.sub("", link[1]).strip() for link in _LINK.finditer(html))
    return any("&" in words or ("." in words and " " not in words) for words in said)


def _said(part: MIMEPart) -> str:
    return str(part.get_content())


class _Reader(HTMLParser):
    """Counts pictures and letters, and compares what links say with where they lead. In a mail of
    ours only what its author wrote counts: not its head, its foot, nor what previews show."""

    def __init__(self) -> None:
        super().__init__()
        self.pictures = 0
        self.letters = 0
        self.differing: list[tuple[str, str]] = []
        self._silent = 0
        self._authored = True
        self._href: str | None = None
        self._words = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = (dict(attrs).get("class") or "").split()
        if not _FRAME.isdisjoint(named):
            self._authored = False
        elif tag == "td" and "main" in named:
            self._authored = True
        if tag == "img":
            self.pictures += 1
        elif tag in {"style", "script", "head", "title"}:
            self._silent += 1
        elif tag == "a":
            self._href, self._words = dict(attrs).get("href"), ""

    def handle_endtag(self, tag: str) -> None:
        if tag in {"style", "script", "head", "title"}:
            self._silent = max(0, self._silent - 1)
        elif tag == "a" and self._href is not None:
            self._compare(self._href)
            self._href = None

    def handle_data(self, data: str) -> None:
        if self._silent:
            return
        if self._authored:
            self.letters += sum(character.isalpha() for character in data)
        self._words += data

    def _compare(self, href: str) -> None:
        named = _HOST.fullmatch(self._words.strip())
        leads_to = (urlsplit(href).hostname or "").lower()
        if named is None or not leads_to or not href.lower().startswith("http"):
            return
        said = named[1].lower()
        if _bare(said) != _bare(leads_to):
            self.differing.append((said, leads_to))


def _bare(host: str) -> str:
    return host.removeprefix("www.")
