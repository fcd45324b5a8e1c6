"""Where the service is: `ESTAFETTE_URL` and `ESTAFETTE_TOKEN`, else what `run` noted in the data
directory for the commands of the same machine."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from scheduler.cli.exits import CommandError, Exit
from scheduler.settings import Settings

_NOTE = "service.json"


@dataclass(frozen=True, slots=True)
class Place:
    """A running service. `practice_url` is empty without practice platforms."""

    url: str
    token: str
    practice_url: str = ""

    def __repr__(self) -> str:
        return f"Place(url={self.url!r})"


def load_settings(**overrides: Any) -> Settings:
    """The settings, with those given on the command line on top.

    Error: CommandError that names each variable that is wrong.
    """
    given = {name: value for name, value in overrides.items() if value is not None}
    try:
        return Settings(**given)
    except ValidationError as error:
        wrong = "; ".join(
            f"{_variable(problem['loc'])}: {problem['msg'].removeprefix('Value error, ')}"
            for problem in error.errors(include_input=False)
        )
        raise CommandError(f"a setting is wrong. {wrong}") from None


def _variable(location: tuple[int | str, ...]) -> str:
    name = str(location[0]).upper() if location else "settings"
    return name if name.startswith("ESTAFETTE_") or not location else f"ESTAFETTE_{name}"


def note(data_dir: Path, place: Place) -> None:
    """Leave word for commands of the same machine; readable by its owner alone."""
    path = data_dir / _NOTE
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(asdict(place), file)


def noted(data_dir: Path) -> Place | None:
    """What `run` noted last in this data directory."""
    with suppress(OSError, ValueError, TypeError):
        return Place(**json.loads((data_dir / _NOTE).read_text(encoding="utf-8")))
    return None


def find_place(url: str | None, token: str | None) -> Place:
    """The service to talk to. Error: CommandError when nothing says where it is."""
    known = noted(load_settings().data_dir)
    if url is None and known is None:
        raise CommandError(
            "no service is known here: start one with `estafette run`, or set ESTAFETTE_URL and"
            " ESTAFETTE_TOKEN",
            Exit.UNREACHABLE,
        )
    same = known if known is not None and url in {None, known.url} else None
    token = token or (same.token if same else None)
    if token is None:
        raise CommandError(f"set ESTAFETTE_TOKEN to a token of {url}")
    return Place(
        url=(url or (same.url if same else "")).rstrip("/"),
        token=token,
        practice_url=same.practice_url if same else "",
    )
