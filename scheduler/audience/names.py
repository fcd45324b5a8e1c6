"""People's names: one line, without controls, however they were typed."""

from __future__ import annotations

_LONGEST = 200


def one_line(name: str) -> str:
    """Without what cannot be seen, or would break a line."""
    if not name.isprintable():
        name = "".join(c if c.isprintable() else " " for c in name)
    return " ".join(name.split())[:_LONGEST]
