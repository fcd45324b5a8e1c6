"""One way to declare a handler's request and response: its signature.

    @endpoints.post("/posts", scope=Scope.WRITE, status=201)
    async def create(call: Call, body: Draft, headers: Keyed) -> AcceptedAnswer: ...

`path`, `query`, `headers` and `body` are pydantic models: what arrives is validated against them
before the handler runs, and the OpenAPI document is generated from them. (aiohttp-pydantic 3 does
this too, but needs Python 3.12 and speaks OpenAPI 3.0, whose schemas are not pydantic's.)
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar, get_args, get_origin, get_type_hints

from aiohttp import web
from pydantic import BaseModel, ValidationError

from scheduler.refusals import FieldError, Refusal, RefusedError, invalid
from scheduler.services import Services
from scheduler.store.tokens import Caller, Scope
from scheduler.web import problems
from scheduler.web.keys import CALLER, SERVICES
from scheduler.web.phrases import language_of

MAX_JSON = 1_000_000  # bytes
_PARTS = ("path", "query", "headers", "body")
_NO_HEADERS: Mapping[str, str] = {}

T = TypeVar("T")
Function = Callable[..., Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Call:
    """One request as a handler sees it."""

    request: web.Request
    services: Services

    @property
    def caller(self) -> Caller:
        """Who asks; only where the endpoint has a scope."""
        return self.request[CALLER]

    @property
    def language(self) -> str:
        """Which language the answer's words for people are in."""
        return language_of(self.request.headers.get("Accept-Language", ""), "en")


@dataclass(frozen=True, slots=True)
class Answer(Generic[T]):
    """An answer that needs more than its content."""

    content: T
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A declared handler.

    `scope` None: open to everyone. `refusals`: its own, beside those that every endpoint has.
    `answer`: the type of its content, None when it has none. `media_type`: of a stream, or of
    what is no JSON. `parts`: the models by name, `path`, `query`, `headers`, `body`.
    `request_body`: the OpenAPI content of a body that is no JSON and that the handler reads.
    """

    method: str
    path: str
    function: Function
    scope: Scope | None
    summary: str
    tag: str
    status: int
    refusals: tuple[Refusal, ...]
    parts: Mapping[str, type[BaseModel]]
    answer: Any
    media_type: str
    request_body: Mapping[str, Any] | None = None

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Validate, call, serialise."""
        self._authorize(request)
        arguments = {name: await _read(request, name, model) for name, model in self.parts.items()}
        result = await self.function(Call(request, request.app[SERVICES]), **arguments)
        return self._respond(result)

    def _authorize(self, request: web.Request) -> None:
        if self.scope is None:
            return
        caller = request.get(CALLER)
        if caller is None:
            detail = "this needs a token"
            remedy = "send the header Authorization: Bearer est_…; `estafette token` makes one"
            raise RefusedError(
                Refusal.UNAUTHENTICATED, detail, [FieldError("Authorization", detail, remedy)]
            )
        if not caller.may(self.scope):
            detail = f"the token {caller.name!r} has no {self.scope} scope"
            remedy = f"use a token with the scope {self.scope}"
            raise RefusedError(
                Refusal.FORBIDDEN, detail, [FieldError("Authorization", detail, remedy)]
            )

    def _respond(self, result: Any) -> web.StreamResponse:
        if isinstance(result, web.StreamResponse):
            return result
        status, headers = self.status, _NO_HEADERS
        if isinstance(result, Answer):
            status, headers, result = result.status or status, result.headers, result.content
        if result is None:
            return web.Response(status=204, headers=headers)
        return web.Response(
            status=status,
            body=json.dumps(result, ensure_ascii=False, separators=(",", ":")).encode(),
            content_type="application/json",
            headers=headers,
        )


class Endpoints:
    """The endpoints of one module, under one tag of the document."""

    def __init__(self, tag: str) -> None:
        self.tag = tag
        self.all: list[Endpoint] = []

    def get(self, path: str, **options: Any) -> Callable[[Function], Function]:
        return self._declare("GET", path, **options)

    def post(self, path: str, **options: Any) -> Callable[[Function], Function]:
        return self._declare("POST", path, **options)

    def put(self, path: str, **options: Any) -> Callable[[Function], Function]:
        return self._declare("PUT", path, **options)

    def patch(self, path: str, **options: Any) -> Callable[[Function], Function]:
        return self._declare("PATCH", path, **options)

    def delete(self, path: str, **options: Any) -> Callable[[Function], Function]:
        return self._declare("DELETE", path, **options)

    def _declare(
        self,
        method: str,
        path: str,
        *,
        scope: Scope | None = None,
        status: int = 200,
        refusals: tuple[Refusal, ...] = (),
        media_type: str = "application/json",
        request_body: Mapping[str, Any] | None = None,
    ) -> Callable[[Function], Function]:
        def declare(function: Function) -> Function:
            hints = get_type_hints(function, include_extras=True)
            answer = hints.pop("return")
            if get_origin(answer) is Answer:
                (answer,) = get_args(answer)
            plain = answer in {type(None), web.Response, web.StreamResponse}
            self.all.append(
                Endpoint(
                    method=method,
                    path=path,
                    function=function,
                    scope=scope,
                    summary=inspect.getdoc(function) or "",
                    tag=self.tag,
                    status=204 if answer is type(None) else status,
                    refusals=refusals,
                    parts={name: hints[name] for name in _PARTS if name in hints},
                    answer=None if plain else answer,
                    media_type=media_type,
                    request_body=request_body,
                )
            )
            return function

        return declare


def add_routes(app: web.Application, endpoints: Sequence[Endpoint], prefix: str = "") -> None:
    """Serve them below `prefix`."""
    for endpoint in endpoints:
        app.router.add_route(endpoint.method, prefix + endpoint.path, endpoint.handle)


async def _read(request: web.Request, part: str, model: type[BaseModel]) -> BaseModel:
    try:
        if part == "body":
            return model.model_validate_json(await _json_body(request))
        return model.model_validate(_strings(request, part, model))
    except ValidationError as error:
        within = "" if part == "body" else part
        raise problems.from_validation(error, model, within) from error


def _strings(request: web.Request, part: str, model: type[BaseModel]) -> Mapping[str, Any]:
    if part == "path":
        return request.match_info
    if part == "query":
        for name, value in request.query.items():
            if "\0" in value:
                raise invalid(name, "holds a NUL character", "leave it out")
        return {
            name: values if len(values := request.query.getall(name)) > 1 else values[0]
            for name in request.query
        }
    names = [info.alias or name for name, info in model.model_fields.items()]
    return {name: request.headers[name] for name in names if name in request.headers}


async def _json_body(request: web.Request) -> bytes:
    if request.content_type != "application/json":
        if request.can_read_body:
            sent = request.headers.get("Content-Type", "without a content type")
            raise RefusedError(
                Refusal.MEDIA_TYPE,
                f"the body is {sent}",
                [FieldError("Content-Type", f"is {sent}", "send application/json")],
            )
        raise _no_body()
    if (request.content_length or 0) > MAX_JSON:
        raise problems.too_large(
            f"the body has {request.content_length} bytes, more than {MAX_JSON}"
        )
    body = await request.read()
    if not body.strip():
        raise _no_body()
    return body


def _no_body() -> RefusedError:
    detail = "the request has no body"
    remedy = "send a JSON object with Content-Type: application/json"
    return RefusedError(Refusal.BAD_REQUEST, detail, [FieldError("body", detail, remedy)])
