"""What an adapter answers, as every database takes it: PostgreSQL refuses a whole group of outcomes
for half a letter in one, or for a link that is no text."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from functools import cache
from typing import Any, TypeVar

from channels.http import storable

# What other machines may leave out, and what they have to name.
_MAY_BE_NONE, _HAS_TO_BE = "url", "remote_id"

T = TypeVar("T")


def legible(said: T) -> T:
    """The same in letters that can be stored; itself, nearly always. `said`: a dataclass."""
    kind: Any = type(said)
    changed: dict[str, Any] = {}
    for name in _names(kind):
        value = getattr(said, name)
        better = storable(value) if isinstance(value, str) else _better(name, value)
        if better is not value:
            changed[name] = better
    return replace(said, **changed) if changed else said  # type: ignore[type-var]


def _better(name: str, value: Any) -> Any:
    if name == _MAY_BE_NONE:
        return None
    if name == _HAS_TO_BE:
        return storable(str(value))
    return legible(value) if is_dataclass(value) else value


@cache
def _names(kind: type) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind))
