"""The API's document, and a page to read it and try it: no asset from anywhere else."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
from aiohttp import web

from channels.translations import in_language
from scheduler.refusals import Refusal
from scheduler.web.endpoint import Endpoint
from scheduler.web.openapi import document

_HERE = Path(__file__).parent
# Scripts and styles only from here; the page speaks to this service alone.
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
PAGE_HEADERS = {
    "Content-Security-Policy": PAGE_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
}


def environment() -> jinja2.Environment:
    """Where pages come from; everything put into them is escaped."""
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["said"] = in_language
    made.filters["tongue"] = _tongue
    return made


def _tongue(text: object, language: str) -> str:
    """The language that `said` says it in: what has no translation stays English."""
    spoken = str(text)
    return "en" if in_language(spoken, language) == spoken else language


def add_routes(
    app: web.Application, endpoints: Mapping[str, Sequence[Endpoint]], prefix: str
) -> None:
    """Serve `openapi.json` and `docs` below `prefix`, and the files pages need at `/static`."""
    manual = _Manual(endpoints)
    app.router.add_get(f"{prefix}/openapi.json", manual.openapi)
    app.router.add_get(f"{prefix}/docs", manual.docs)
    app.router.add_get("/favicon.ico", _icon)
    app.router.add_static("/static", _HERE / "static")


async def _icon(_request: web.Request) -> web.Response:
    """What browsers ask for beside any page, such as an article of the blog."""
    raise web.HTTPMovedPermanently("/static/icon.svg")


class _Manual:
    """The document and its page, written when somebody first asks for either: it takes half a
    second, and megabytes that most processes never need. In a thread, as posts wait for nobody."""

    def __init__(self, endpoints: Mapping[str, Sequence[Endpoint]]) -> None:
        self._endpoints = endpoints
        self._writing: asyncio.Task[tuple[bytes, str]] | None = None

    async def openapi(self, _request: web.Request) -> web.Response:
        text, _page = await self._written()
        return web.Response(body=text, content_type="application/json")

    async def docs(self, _request: web.Request) -> web.Response:
        _text, page = await self._written()
        return web.Response(text=page, content_type="text/html", headers=PAGE_HEADERS)

    async def _written(self) -> tuple[bytes, str]:
        if self._writing is None:
            self._writing = asyncio.create_task(asyncio.to_thread(_write, self._endpoints))
        return await asyncio.shield(self._writing)


def _write(endpoints: Mapping[str, Sequence[Endpoint]]) -> tuple[bytes, str]:
    described = document(endpoints)
    text = json.dumps(described, ensure_ascii=False).encode()
    page = (
        environment()
        .get_template("docs.html")
        .render(
            document=described,
            operations=_operations(described),
            refusals=list(Refusal),
            refer=lambda schema: _resolved(schema, described),
            example=lambda schema: json.dumps(
                _example(schema, described), ensure_ascii=False, indent=2
            ),
        )
    )
    return text, page


def _operations(described: Mapping[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Operations by tag, each with its method and path."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            groups.setdefault(operation["tags"][0], []).append(
                {"method": method.upper(), "path": path, **operation}
            )
    return groups


def _resolved(schema: Mapping[str, Any], described: Mapping[str, Any]) -> Mapping[str, Any]:
    if "$ref" not in schema:
        return schema
    found: Mapping[str, Any] = described["components"]["schemas"][schema["$ref"].rsplit("/", 1)[-1]]
    return found


def _example(schema: Mapping[str, Any], described: Mapping[str, Any], depth: int = 0) -> Any:
    """A value of the required shape, to start from."""
    schema = _resolved(schema, described)
    for known in ("const", "default"):
        if known in schema:
            return schema[known]
    if schema.get("examples"):
        return schema["examples"][0]
    if "enum" in schema:
        return schema["enum"][0]
    for choice in ("anyOf", "oneOf"):
        if choice in schema:
            return _example(schema[choice][0], described, depth)
    if schema.get("type") == "object" and depth < 3:
        needed = schema.get("required", [])
        properties = schema.get("properties", {})
        shown = needed or [name for name in ("title", "body", "at") if name in properties]
        return {name: _example(properties[name], described, depth + 1) for name in shown}
    empty: dict[str, Any] = {
        "string": "", "integer": 0, "number": 0, "boolean": True, "array": [], "object": {},
    }  # fmt: skip
    return empty.get(schema.get("type", ""))
