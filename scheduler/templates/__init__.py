"""Campaigns ready to use: one TOML file each, `<language>/<name>.toml`, checked when read."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import Annotated

from pydantic import Field

from scheduler.drafts import Name, Strict
from scheduler.placeholders import FieldName
from scheduler.refusals import invalid
from scheduler.storyboard import StoryPost

_HERE = Path(__file__).parent


class TemplateField(Strict):
    """What the owner fills in once, for all posts."""

    name: FieldName
    label: Name
    example: Name


class Template(Strict):
    """A campaign but for its date and fields. `hours`: it needs opening hours."""

    name: str
    language: str
    title: Name
    summary: Annotated[str, Field(max_length=300)]
    hours: bool = False
    fields: tuple[TemplateField, ...] = ()
    posts: tuple[StoryPost, ...]


@cache
def templates() -> dict[tuple[str, str], Template]:
    """All of them by (name, language)."""
    found = [_read(path) for path in sorted(_HERE.glob("*/*.toml"))]
    return {(one.name, one.language): one for one in found}


def _read(path: Path) -> Template:
    data = tomllib.loads(path.read_text(encoding="utf-8"))
    language = path.parent.name
    posts = [{**post, "body": post["body"].strip(), "language": language} for post in data["posts"]]
    return Template.model_validate(
        {**data, "name": path.stem, "language": language, "posts": posts}
    )


def template(name: str, language: str) -> Template:
    """One of them, in the nearest language there is. Error: RefusedError naming the field."""
    known = templates()
    names = sorted({one for one, _ in known})
    if name not in names:
        raise invalid("template", f"there is no template {name!r}", f"one of {', '.join(names)}")
    spoken = sorted({tongue for one, tongue in known if one == name})
    nearest = language.split("-", maxsplit=1)[0].lower()
    if nearest not in spoken:
        raise invalid(
            "language",
            f"the template {name!r} does not speak {language!r}",
            f"one of {', '.join(spoken)}; or send posts of your own",
        )
    return known[name, nearest]
