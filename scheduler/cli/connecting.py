"""Settings of an account as they come from flags, a file, or a person at a terminal."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import typer

from scheduler.cli.exits import CommandError

Schema = Mapping[str, Any]  # JSON Schema 2020-12, or a part of it


def gather(schema: Schema, file: Path | None, pairs: Iterable[str]) -> dict[str, Any]:
    """Settings from `file`, those of `pairs` (`NAME=VALUE`) over them; a person is asked for what
    is missing. `schema`: of the adapter's settings. Error: CommandError."""
    settings = _from_file(file)
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise CommandError(f"--set takes NAME=VALUE, not {name!r}")
        _put(settings, name, _value(_at(schema, schema, name.split(".")), value))
    if str(file) != "-" and sys.stdin.isatty():
        _ask(schema, schema, settings, "")
    return settings


def _from_file(file: Path | None) -> dict[str, Any]:
    if file is None:
        return {}
    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
        settings = json.loads(text)
    except (OSError, ValueError) as error:
        raise CommandError(f"{file} cannot be read: {error}") from error
    if not isinstance(settings, dict):
        raise CommandError(f"{file} is no JSON object")
    return settings


def _put(settings: dict[str, Any], name: str, value: Any) -> None:
    """`relays.0.host` goes into the first of the relays, which is made when there is none."""
    at: Any = settings
    *way, last = steps = name.split(".")
    for step, following in zip(way, steps[1:], strict=True):
        at = _step(at, step, [] if following.isdecimal() else {}, name)
    _step(at, last, value, name)
    if isinstance(at, dict):
        at[last] = value
    else:
        at[int(last)] = value


def _step(at: Any, step: str, missing: Any, name: str) -> Any:
    """What stands at `step`, `missing` put there if there is nothing."""
    if isinstance(at, dict):
        return at.setdefault(step, missing)
    if not isinstance(at, list) or not step.isdecimal() or int(step) > len(at):
        raise CommandError(f"--set {name}: there is no {step!r} there")
    if int(step) == len(at):
        at.append(missing)
    return at[int(step)]


def _at(whole: Schema, schema: Schema, way: list[str]) -> Schema:
    """The part of the schema that describes what stands at `way`; empty when none does."""
    for kind in _kinds(whole, schema):
        if not way:
            return kind
        below = kind.get("items") if way[0].isdecimal() else kind.get("properties", {}).get(way[0])
        if below is not None:
            return _at(whole, below, way[1:])
    return {}


def _kinds(whole: Schema, schema: Schema) -> list[Schema]:
    """What it may be, references followed."""
    if "$ref" in schema:
        schema = whole["$defs"][str(schema["$ref"]).rpartition("/")[2]]
    if "anyOf" not in schema:
        return [schema]
    return [kind for one in schema["anyOf"] for kind in _kinds(whole, one)]


def _value(kind: Schema, text: str) -> Any:
    """JSON, if it parses; but text where the setting is text: an identifier of digits is one."""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return text if kind.get("type") == "string" and not isinstance(value, str) else value


def _ask(whole: Schema, schema: Schema, settings: dict[str, Any], above: str) -> None:
    """Ask for what is needed and not there; what is secret is not shown."""
    properties = schema.get("properties", {})
    if not above and set(schema.get("required", ())) - settings.keys():
        typer.echo(schema.get("description", ""), err=True)
    for name in schema.get("required", ()):
        kind = _kinds(whole, properties[name])[0]
        if name in settings:
            continue
        if kind.get("type") == "array":
            settings[name] = [{}]
            _ask(whole, _kinds(whole, kind["items"])[0], settings[name][0], f"{name}.0.")
        else:
            settings[name] = _value(kind, _answer(f"{above}{name}", kind))
    for name in ("username", "password") if above else ():
        if name in properties and name not in settings:
            answer = _answer(f"{above}{name}", _kinds(whole, properties[name])[0], default="")
            settings |= {name: answer} if answer else {}


def _answer(name: str, kind: Schema, default: str | None = None) -> str:
    hidden = kind.get("format") == "password"
    answer: str = typer.prompt(
        name, default=default, hide_input=hidden, show_default=False, err=True
    )
    return answer
