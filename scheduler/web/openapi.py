"""The OpenAPI 3.1 document, generated from the endpoints' own models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel, TypeAdapter

from scheduler import __version__
from scheduler.refusals import Refusal
from scheduler.web.endpoint import Endpoint
from scheduler.web.problems import CONTENT_TYPE, ProblemDetails

_REF = "#/components/schemas/{model}"
_PLACES = {"path": "path", "query": "query", "headers": "header"}

Mode = Literal["validation", "serialization"]
Key = tuple[Any, Mode]


def document(endpoints: Mapping[str, Sequence[Endpoint]]) -> dict[str, Any]:
    """`endpoints`: by the prefix they are served below."""
    every = [(prefix, one) for prefix, group in endpoints.items() for one in group]
    schemas, definitions = _schemas([one for _, one in every])
    paths: dict[str, dict[str, Any]] = {}
    for prefix, one in every:
        operation = _operation(one, schemas)
        paths.setdefault(prefix + one.path, {})[one.method.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Estafette",
            "version": __version__,
            "summary": "A publishing scheduler with a plan B.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "paths": paths,
        "components": {
            "schemas": definitions,
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "Made by `estafette token create`.",
                }
            },
        },
    }


def _schemas(endpoints: Sequence[Endpoint]) -> tuple[dict[Any, Any], dict[str, Any]]:
    """The schema of each type (bodies, answers), and the definitions they refer to."""
    inputs = {one.parts["body"] for one in endpoints if "body" in one.parts}
    outputs = {one.answer for one in endpoints if one.answer is not None} | {ProblemDetails}
    wanted: list[tuple[Key, Mode, TypeAdapter[Any]]] = []
    for mode, kinds in _by_mode(inputs, outputs):
        ordered = sorted(kinds, key=lambda kind: str(kind.__name__))
        wanted += [((kind, mode), mode, TypeAdapter(kind)) for kind in ordered]
    found, shared = TypeAdapter.json_schemas(wanted, ref_template=_REF)
    schemas = {key[0]: schema for (key, _mode), schema in found.items()}
    return schemas, shared.get("$defs", {})


def _by_mode(inputs: set[Any], outputs: set[Any]) -> tuple[tuple[Mode, set[Any]], ...]:
    return ("validation", inputs), ("serialization", outputs)


def _operation(one: Endpoint, schemas: Mapping[Any, Any]) -> dict[str, Any]:
    summary, _, description = one.summary.partition("\n\n")
    operation: dict[str, Any] = {
        "operationId": f"{one.tag}_{one.function.__name__}",
        "tags": [one.tag],
        "summary": " ".join(summary.split()),
        "responses": _responses(one, schemas),
        "security": [] if one.scope is None else [{"token": []}],
    }
    if description:
        operation["description"] = description
    if one.scope is not None:
        operation["x-scope"] = one.scope.value
    parameters = [
        parameter
        for part, place in _PLACES.items()
        if part in one.parts
        for parameter in _parameters(one.parts[part], place)
    ]
    if parameters:
        operation["parameters"] = parameters
    if "body" in one.parts:
        content = {"application/json": {"schema": schemas[one.parts["body"]]}}
        operation["requestBody"] = {"required": True, "content": content}
    elif one.request_body is not None:
        operation["requestBody"] = {"required": True, "content": one.request_body}
    return operation


def _parameters(model: type[BaseModel], place: str) -> list[dict[str, Any]]:
    schema = model.model_json_schema(ref_template=_REF)
    definitions = schema.get("$defs", {})
    return [
        {
            "name": name,
            "in": place,
            "required": place == "path" or name in schema.get("required", ()),
            "description": field.pop("description", ""),
            "schema": _inlined(field, definitions),
        }
        for name, field in schema["properties"].items()
    ]


def _inlined(schema: Any, definitions: Mapping[str, Any]) -> Any:
    """A parameter's schema stands alone: references are replaced by what they name."""
    if isinstance(schema, dict):
        if "$ref" in schema:
            return _inlined(definitions[schema["$ref"].rsplit("/", 1)[-1]], definitions)
        return {name: _inlined(value, definitions) for name, value in schema.items()}
    if isinstance(schema, list):
        return [_inlined(item, definitions) for item in schema]
    return schema


def _responses(one: Endpoint, schemas: Mapping[Any, Any]) -> dict[str, Any]:
    good: dict[str, Any] = {"description": _said(one.status)}
    if one.answer is not None:
        good["content"] = {one.media_type: {"schema": schemas[one.answer]}}
    elif one.status != 204:
        good["content"] = {one.media_type: {"schema": {"type": "string"}}}
    responses = {str(one.status): good}
    problem = {CONTENT_TYPE: {"schema": schemas[ProblemDetails]}}
    for refusal in _refusals(one):
        known = responses.get(str(refusal.status))
        if known is None:
            responses[str(refusal.status)] = {"description": refusal.title, "content": problem}
        else:
            known["description"] += f"; {refusal.title[0].lower()}{refusal.title[1:]}"
    return dict(sorted(responses.items()))


def _refusals(one: Endpoint) -> list[Refusal]:
    found: list[Refusal] = []
    if one.scope is not None:
        found += [Refusal.UNAUTHENTICATED, Refusal.FORBIDDEN, Refusal.UNAVAILABLE]
    if "body" in one.parts:
        found += [Refusal.BAD_REQUEST, Refusal.TOO_LARGE, Refusal.MEDIA_TYPE]
    if one.parts or one.request_body:
        found.append(Refusal.INVALID)
    return list(dict.fromkeys([*found, *one.refusals]))


def _said(status: int) -> str:
    return {200: "Done", 201: "Stored", 204: "Done, nothing to say"}[status]
