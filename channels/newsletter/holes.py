"""Where a reader's own values go: `{{name}}`, or `{{city|your town}}` with words for who has none
(`{{city|}}`: nothing, on purpose).

In the address of a link a value is one part of the address, encoded as such; where it is the whole
address, it has to be a web address itself.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from urllib.parse import quote, unquote

from channels.words import ELLIPSIS, shorten

# As written, and as Markdown leaves it in the address of a link.
_HOLE = re.compile(
    r"\{\{\s*(\w+)\s*(?:\|([^{}]*))?\}\}"
    r"|%7B%7B(?:%20)*(\w+?)(?:%20)*(?:%7C(?:%20)*((?:(?!%7D)[!#-;=?-~])*?)(?:%20)*)?%7D%7D",
    re.IGNORECASE,
)
_IN_ADDRESS = re.compile(r"https?://[^\s\"<>]*\Z")
_LONGEST_ADDRESS = 4000
# Those that we know of everybody; nobody means another field by their names.
EVERYBODYS = frozenset({"address", "unsubscribe_url"})
_OURS = frozenset({*EVERYBODYS, "name"})
_WEB = re.compile(r"(?:https?://|mailto:)[!-;=?-~]+")


class Place(Enum):
    """Where a hole is: among words, inside an address, or all there is of one."""

    WORDS = auto()
    ADDRESS = auto()
    WHOLE_ADDRESS = auto()


@dataclass(frozen=True, slots=True)
class Hole:
    """`{{name|fallback}}` in `text[start:end]`; `fallback` as its author wrote it. `foreseen`:
    they said what stands there for who has none, be it nothing."""

    start: int
    end: int
    name: str
    fallback: str
    place: Place
    foreseen: bool

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
        name, said = found[1], found[2]
        place = Place.WORDS
        if name is None:
            name, said = found[3], None if found[4] is None else unquote(found[4])
            place = Place.WHOLE_ADDRESS
        if name.lower() in _OURS:
            name = name.lower()
        before = text[max(0, found.start() - _LONGEST_ADDRESS) : found.start()]
        if _IN_ADDRESS.search(before):
            place = Place.ADDRESS
        # In the HTML part the author's words are escaped already.
        fallback = html.unescape(said or "")
        yield Hole(found.start(), found.end(), name, fallback, place, said is not None)


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


def plain_subject(title: str) -> str:
    """A title as one line."""
    return " ".join("".join(c if c.isprintable() else " " for c in title).split())


def subject_for(title: str, values: Mapping[str, str]) -> str:
    """A subject as the reader with these values gets it, in one line."""
    pieces: list[str] = []
    end = 0
    for hole in holes(title):
        pieces += (title[end : hole.start], values.get(hole.name) or hole.fallback)
        end = hole.end
    own = plain_subject("".join([*pieces, title[end:]]))
    return own or plain_subject(impersonal(title))


def shortened(text: str, limit: int) -> str:
    """As `shorten`, counting what who has no values reads, and cutting no hole apart."""
    if len(impersonal(text)) <= limit:
        return text
    pieces: list[str] = []
    end, room = 0, limit
    for hole in holes(text):
        words = text[end : hole.start]
        if len(words) + len(hole.fallback) >= room:
            break
        pieces += (words, text[hole.start : hole.end])
        end, room = hole.end, room - len(words) - len(hole.fallback)
    following = next(holes(text[end:]), None)
    rest = text[end:] if following is None else text[end : end + following.start]
    if following is not None and len(rest) < room:
        return "".join([*pieces, rest.rstrip(), ELLIPSIS])
    return "".join([*pieces, shorten(rest, room)])
