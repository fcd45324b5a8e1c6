"""What adapters say of problems, in the reader's language.

Adapters speak English, and so does everything that is stored; `locale/fr.po` has the French of
each sentence, `{}` standing for what was put in. What is shown to people passes through here. A
sentence that is not in the catalogue, such as a platform's own words, stays as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache, lru_cache
from pathlib import Path

_LOCALE = Path(__file__).parent / "locale"
_HOLE = "{}"
_COLON: Mapping[str, str] = {"fr": "\u00a0: "}
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
    whole = _whole(text, language)
    if whole is not None:
        return whole
    head, colon, rest = text.partition(": ")
    one = not _SENTENCES.search(head)
    if colon and one and (said := _whole(rest, language)) is not None:
        return f"{head}{_COLON.get(language, colon)}{said}"
    # Several sentences: the longest beginning that we know, then the rest.
    for gap in reversed([match.start() for match in re.finditer(r" ", text)]):
        begin = catalogue(language).get(text[:gap]) or _known(text[:gap], language)
        if begin is not None:
            return f"{begin} {_translated(text[gap + 1 :], language)}"
    return text


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
    for pattern, said in _patterns(language):
        found = pattern.fullmatch(text)
        if found is not None:
            parts = [_translated(part, language) for part in found.groups()]
            return _filled(said, parts)
    return None


def _filled(template: str, parts: list[str]) -> str:
    pieces = template.split(_HOLE)
    return "".join(piece + part for piece, part in zip(pieces, [*parts, ""], strict=True))


@cache
def _patterns(language: str) -> list[tuple[re.Pattern[str], str]]:
    """Templates with holes, the most telling (the most words of their own) first."""
    return sorted(_holed(language), key=lambda pair: -len(pair[0].pattern))


def _holed(language: str) -> Iterator[tuple[re.Pattern[str], str]]:
    for english, said in catalogue(language).items():
        if _HOLE in english:
            literal = "(.+?)".join(re.escape(piece) for piece in english.split(_HOLE))
            yield re.compile(literal, re.DOTALL), said
