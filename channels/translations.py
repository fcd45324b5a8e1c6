"""What adapters say of problems, in the reader's language.

Adapters speak English, and so does everything that is stored; `locale/fr.po` has the French of
each sentence, `{}` standing for what was put in and `{n}` for a number. What is shown to people
passes through here. A sentence that is not in the catalogue, such as a platform's own words, stays
as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache, lru_cache
from itertools import takewhile
from pathlib import Path

_LOCALE = Path(__file__).parent / "locale"
_HOLE = re.compile(r"\{(n?)\}")
_FITS = {"": "(.+?)", "n": r"(\d+)"}
_COLON: Mapping[str, str] = {"fr": "\u00a0: "}
_STOPS: Mapping[str, Mapping[str, str]] = {"fr": {"; ": "\u202f; ", ", ": ", "}}
_LONGEST = 2000
_SENTENCES = re.compile(r"[.!?] ")


@cache
def catalogue(language: str) -> Mapping[str, str]:
    """English template -> template in this language; empty when there is none."""
    path = _LOCALE / f"{language}.po"
    if not path.is_file():
        return {}
    from babel.messages.pofile import read_po

    with path.open("rb") as file:
        return {str(m.id): str(m.string) for m in read_po(file, locale=language) if m.id}


def in_language(text: str, language: str) -> str:
    """`text`, one or several of our sentences with what was put into them, in this language."""
    if language == "en" or not text or len(text) > _LONGEST:
        return text
    return _translated(text, language)


@lru_cache(maxsize=4096)
def _translated(text: str, language: str) -> str:
    known = _one(text, language)
    if known is not None:
        return known
    # Several sentences: the longest beginning that we know, then the rest.
    for gap in reversed([match.start() for match in re.finditer(r" ", text)]):
        begin = catalogue(language).get(text[:gap]) or _known(text[:gap], language)
        if begin is not None:
            return f"{begin} {_translated(text[gap + 1 :], language)}"
    return text


def _one(text: str, language: str) -> str | None:
    """One sentence, or one after the name of what it is said of."""
    whole = _whole(text, language)
    head, colon, rest = text.partition(": ")
    if whole is None and colon and not _SENTENCES.search(head):
        said = _whole(rest, language)
        return None if said is None else f"{head}{_COLON.get(language, colon)}{said}"
    return whole


def _listed(text: str, language: str) -> str | None:
    """A list counts only where each of its parts is known."""
    for stop, comma in _STOPS.get(language, {}).items():
        parts = text.split(stop) if stop in text else []
        said = list(takewhile(bool, (_one(part, language) for part in parts)))
        if parts and len(said) == len(parts):
            return comma.join(map(str, said))
    return None


def _known(text: str, language: str) -> str | None:
    """A beginning counts only where a sentence ends: what was put in may hold anything."""
    if not text.endswith((".", "!", "?")):
        return None
    whole = _whole(text, language)
    if whole is None and text.endswith("."):  # a detail to which its remedy was added
        bare = _whole(text[:-1], language)
        return None if bare is None else f"{bare}."
    return whole


def _whole(text: str, language: str) -> str | None:
    exact = catalogue(language).get(text)
    if exact is not None:
        return exact
    listed = _listed(text, language)
    if listed is not None:
        return listed
    for pattern, said in _patterns(language):
        found = pattern.fullmatch(text)
        if found is not None:
            parts = [_translated(part, language) for part in found.groups()]
            return _filled(said, parts)
    return None


def _filled(template: str, parts: list[str]) -> str:
    pieces = _HOLE.split(template)[::2]
    return "".join(piece + part for piece, part in zip(pieces, [*parts, ""], strict=True))


@cache
def _patterns(language: str) -> list[tuple[re.Pattern[str], str]]:
    """Templates with holes, the most telling (the most words of their own) first."""
    return sorted(_holed(language), key=lambda pair: -len(pair[0].pattern))


def _holed(language: str) -> Iterator[tuple[re.Pattern[str], str]]:
    for english, said in catalogue(language).items():
        pieces = _HOLE.split(english)  # words and, between them, what the holes take
        if len(pieces) > 1:
            literal = [_FITS[one] if at % 2 else re.escape(one) for at, one in enumerate(pieces)]
            yield re.compile("".join(literal), re.DOTALL), said
