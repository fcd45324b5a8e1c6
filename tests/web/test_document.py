"""The API's document: valid, complete, true."""

from __future__ import annotations

import json
import re
from typing import Any

from aiohttp import web
from openapi_spec_validator import OpenAPIV31SpecValidator, validate

from tests.web.conftest import Client

# Not for programs: the document itself, the pages, their files.
_PAGES = (
    "/",
    "/login",
    "/logout",
    "/decide",
    "/basket",
    "/routes",
    "/api/v1/openapi.json",
    "/api/v1/docs",
    "/static",
    "/favicon.ico",
    "/blog",
    "/connect",
)
# Readers' links, and what platforms call.
_BELOW = (
    "/static/",
    "/blog/",
    "/pages/",
    "/u/",
    "/signup/",
    "/confirm/",
    "/preferences/",
    "/hooks/",
    "/preview/",
    "/letters/",
    "/l/",
    "/o/",
    "/connect/",
    "/deliverability/",
    "/drills/",
    "/routes/",
    "/posts/",
)


def _routes(app: web.Application) -> set[tuple[str, str]]:
    return {
        (route.method, re.sub(r"\{(\w+):[^}]*\}", r"{\1}", route.resource.canonical))
        for route in app.router.routes()
        if route.resource is not None and route.method != "HEAD"
    }


async def test_the_document_is_valid_openapi_3_1(client: Client) -> None:
    document = await (await client.get("/api/v1/openapi.json")).json()
    validate(document, cls=OpenAPIV31SpecValidator)
    assert document["openapi"].startswith("3.1")


async def test_every_route_is_in_the_document_and_no_other(client: Client) -> None:
    document = await (await client.get("/api/v1/openapi.json")).json()
    described = {
        (method.upper(), path) for path, methods in document["paths"].items() for method in methods
    }
    app: Any = client.app
    served = {
        (method, path)
        for method, path in _routes(app)
        if path not in _PAGES and not path.startswith(_BELOW)
    }
    assert described == served
    assert ("POST", "/api/v1/posts") in described


async def test_every_operation_says_what_it_does_and_what_it_may_answer(client: Client) -> None:
    document = await (await client.get("/api/v1/openapi.json")).json()
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            assert operation["summary"], (method, path)
            if operation["security"]:
                assert {"401", "403"} <= set(operation["responses"]), (method, path)
            for parameter in operation.get("parameters", ()):
                assert parameter["schema"], (method, path)


async def test_no_pattern_counts_letters_of_every_script(client: Client) -> None:
    """Compiled, each such pattern takes megabytes of a process; `maxLength` counts for nothing."""
    text = await (await client.get("/api/v1/openapi.json")).text()
    patterns = re.findall(r'"pattern": ("(?:[^"\\]|\\.)*")', text)
    assert patterns
    counted = re.compile(r"(?:\\w|\[[^]]*\\w[^]]*\])\{\d")
    assert [one for one in map(json.loads, patterns) if counted.search(one)] == []


async def test_the_page_shows_every_operation_and_needs_nothing_from_elsewhere(
    client: Client,
) -> None:
    answer = await client.get("/api/v1/docs")
    page = await answer.text()
    document = await (await client.get("/api/v1/openapi.json")).json()
    for methods in document["paths"].values():
        for operation in methods.values():
            assert f'id="{operation["operationId"]}"' in page
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    for address in re.findall(r'(?:src|href)="([^"#][^"]*)"', page):
        assert (await client.get(address)).status == 200


async def test_a_browser_that_guesses_where_the_icon_is_gets_it(client: Client) -> None:
    answer = await client.get("/favicon.ico")
    assert (answer.status, answer.content_type) == (200, "image/svg+xml")
    assert answer.url.path == "/static/icon.svg"
