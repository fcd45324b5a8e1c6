"""What readers without a value would see in its place, told to the author."""

from __future__ import annotations

import re
from collections.abc import Iterator

from channels.newsletter.holes import EVERYBODYS, Hole, holes, impersonal
from channels.outcome import Problem, Severity
from channels.posts import Message

_AROUND = 40  # characters shown on each side
# Braces that no reader's value will ever fill.
_BRACES = re.compile(r"\{\{[^{}\n]{0,80}\}\}")


def gap_problems(message: Message) -> Iterator[Problem]:
    """Placeholders without words for who has no value, and braces that are no placeholder; each
    once in a field."""
    parts = {"title": message.title, "summary": message.summary, "body": message.text}
    for field, text in parts.items():
        told: set[str] = set()
        places: set[tuple[int, int]] = set()
        for hole in holes(text):
            places.add((hole.start, hole.end))
            if not hole.foreseen and hole.name not in EVERYBODYS and hole.name not in told:
                told.add(hole.name)
                yield _unforeseen(hole, text, field)
        for found in _BRACES.finditer(text):
            if found.span() not in places and found[0] not in told:
                told.add(found[0])
                yield _no_placeholder(found[0], field)


def _unforeseen(hole: Hole, text: str, field: str) -> Problem:
    name = hole.name
    return Problem(
        code="fallback-missing",
        detail=f"readers whose {name} we do not know will read: {_as_read(hole, text)}",
        field=field,
        remedy=f"Write {{{{{name}|words for them}}}}, or {{{{{name}|}}}} to leave it out.",
        severity=Severity.WARNING,
    )


def _no_placeholder(braces: str, field: str) -> Problem:
    return Problem(
        code="placeholder-unreadable",
        detail=f"{braces} is no placeholder: everybody will read it as it stands",
        field=field,
        remedy="Name a field in letters, digits and underscores, as in {{city|your town}}.",
        severity=Severity.WARNING,
    )


def _as_read(hole: Hole, text: str) -> str:
    """The words around a hole, as somebody reads them who has nothing to fill it with."""
    before = impersonal(text[text.rfind("\n", 0, hole.start) + 1 : hole.start]).lstrip()
    after = impersonal(text[hole.end :].partition("\n")[0]).rstrip()
    if len(before) > _AROUND:
        before = "…" + before[-_AROUND:].partition(" ")[2]
    if len(after) > _AROUND:
        after = after[:_AROUND].rpartition(" ")[0] + "…"
    own = hole.value(hole.fallback, escape=str)
    return f"“{before}{own}{after}”"
