"""Where a reader's own values go: `{{name}}`, or `{{city|your town}}` with words for who has none.

In the address of a link a value is one part of the address, encoded as such; where it is the whole
address, it has to be a web address itself.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum, auto
from urllib.parse import quote, unquote

# As written, and as Markdown leaves it in the address of a link.
_HOLE = re.compile(
    r"\{\{\s*(\w+)\s*(?:\|([^{}]*))?\}\}"
    r"|%7B%7B(?:%20)*(\w+?)(?:%20)*(?:%7C(?:%20)*((?:(?!%7D)[!#-;=?-~])*?)(?:%20)*)?%7D%7D",
    re.IGNORECASE,
)
_IN_ADDRESS = re.compile(r"https?://[^\s\"<>]*\Z")
_LONGEST_ADDRESS = 4000
_WEB = re.compile(r"(?:https?://|mailto:)[!-;=?-~]+")


class Place(Enum):
    """Where a hole is: among words, inside an address, or all there is of one."""

    WORDS = auto()
    ADDRESS = auto()
    WHOLE_ADDRESS = auto()


@dataclass(frozen=True, slots=True)
class Hole:
    """`{{name|fallback}}` in `text[start:end]`; `fallback` as its author wrote it."""

    start: int
    end: int
    name: str
    fallback: str
    place: Place

    def value(self, text: str, *, escape: Callable[[str], str]) -> str:
        """What to put in for `text`; `escape`: as the part of the mail wants its words."""
        if self.place is Place.WORDS or not text:
            return escape(text)
        if self.place is Place.WHOLE_ADDRESS and _WEB.fullmatch(text):
            return escape(text)
        return quote(text, safe="")


def holes(text: str) -> Iterator[Hole]:
    """The holes of a text or of an HTML page, in order."""
    for found in _HOLE.finditer(text):
        name, fallback = found[1], found[2] or ""
        place = Place.WORDS
        if name is None:
            name, fallback = found[3], unquote(found[4] or "")
            place = Place.WHOLE_ADDRESS
        before = text[max(0, found.start() - _LONGEST_ADDRESS) : found.start()]
        if _IN_ADDRESS.search(before):
            place = Place.ADDRESS
        # In the HTML part the author's words are escaped already.
        yield Hole(found.start(), found.end(), name, html.unescape(fallback), place)


def impersonal(text: str) -> str:
    """`text` with every hole filled by its fallback: for what all readers share."""
    pieces, end = [], 0
    for hole in holes(text):
        written = _HOLE.fullmatch(text, hole.start, hole.end)
        words = (written[2] or "") if written and hole.place is Place.WORDS else None
        pieces.append(text[end : hole.start])
        pieces.append(hole.value(hole.fallback, escape=html.escape) if words is None else words)
        end = hole.end
    return "".join([*pieces, text[end:]])
