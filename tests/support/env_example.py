"""How one setting stands in `deploy/env.example`: what it is, what it may be, its default."""

from __future__ import annotations

import textwrap
from collections.abc import Collection
from typing import get_args

from annotated_types import Ge, Gt, Le, Lt
from pydantic import SecretStr

from scheduler.settings import Settings

_SIGNS = {Ge: (">=", "ge"), Gt: (">", "gt"), Le: ("<=", "le"), Lt: ("<", "lt")}


def entry(name: str) -> str:
    """The lines for the setting `name`, as the file must have them."""
    field = Settings.model_fields[name]
    limits = [
        f"{sign} {getattr(rule, attribute)}"
        for rule in field.metadata
        for kind, (sign, attribute) in _SIGNS.items()
        if isinstance(rule, kind)
    ]
    choices = [choice for choice in get_args(field.annotation) if isinstance(choice, str)]
    allowed = ", ".join(limits) or " | ".join(choices)
    about = f"{field.description}{f' ({allowed})' if allowed else ''}"
    comment = textwrap.fill(about, 98, initial_indent="# ", subsequent_indent="# ")
    return f"{comment}\n#ESTAFETTE_{name.upper()}={_written(field.default)}\n"


def _written(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Collection) and not isinstance(value, str):
        return ",".join(map(str, value))
    return str(value)
