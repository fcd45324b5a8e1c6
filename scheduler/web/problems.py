"""RFC 9457 problem details: what went wrong, in which field, and what to do about it."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping, Sequence

import structlog
import uuid_utils
from aiohttp import web
from aiohttp.typedefs import Handler
from pydantic import BaseModel, Field, ValidationError
from pydantic_core import ErrorDetails

from channels.translations import in_language
from scheduler.refusals import FieldError, Refusal, RefusedError
from scheduler.store import faults
from scheduler.vault import VaultError
from scheduler.web.phrases import language_of

CONTENT_TYPE = "application/problem+json"
RETRY_AFTER = "5"  # seconds: about what a database needs to come back
log = structlog.get_logger()


class FieldProblem(BaseModel):
    """One thing wrong."""

    field: str = Field(description="As written in the request: `poll.options[1]`.")
    detail: str
    remedy: str


class ProblemDetails(BaseModel):
    """RFC 9457 problem details."""

    type: str = Field(description="A relative reference to the problem's explanation.")
    title: str
    status: int
    detail: str
    errors: list[FieldProblem]


_REMEDIES: Mapping[str, str] = {
    "missing": "add it",
    "json_invalid": "send one well-formed JSON object, in UTF-8",
    "string_too_long": "shorten it",
    "too_long": "send fewer",
    "string_too_short": "give it some text",
    "too_short": "send more",
    "enum": "use one of those",
    "literal_error": "use one of those",
    "string_type": "send a JSON string",
    "int_type": "send a whole number",
    "int_parsing": "send a whole number",
    "bool_type": "send true or false",
    "bool_parsing": "send true or false",
    "list_type": "send a JSON array",
    "dict_type": "send a JSON object",
    "model_type": "send a JSON object",
    "model_attributes_type": "send a JSON object",
    "string_unicode": "send text in UTF-8",
}
_DEFAULT_REMEDY = "see /api/v1/docs for what this field takes"


def document(
    *,
    status: int,
    code: str,
    title: str,
    detail: str,
    errors: Iterable[FieldError] = (),
    headers: Mapping[str, str] | None = None,
    **extra: str,
) -> web.Response:
    """A problem document; `extra` are further members."""
    body = {
        "type": f"/api/v1/docs#problem-{code}",
        "title": title,
        "status": status,
        "detail": detail,
        "errors": [
            {"field": error.field, "detail": error.detail, "remedy": error.remedy}
            for error in errors
        ],
        **extra,
    }
    return web.Response(
        status=status,
        body=json.dumps(body, ensure_ascii=False).encode("utf-8", "replace"),
        content_type=CONTENT_TYPE,
        headers=headers,
    )


def response(
    refused: RefusedError, headers: Mapping[str, str] | None = None, language: str = "en"
) -> web.Response:
    """The refusal as a problem document; what adapters said in it, in this language."""
    errors = [
        FieldError(
            error.field, in_language(error.detail, language), in_language(error.remedy, language)
        )
        for error in refused.errors
    ]
    return document(
        status=refused.refusal.status,
        code=refused.refusal.code,
        title=in_language(refused.refusal.title, language),
        detail=in_language(refused.detail, language),
        errors=errors,
        headers=headers,
    )


def from_validation(
    error: ValidationError, model: type[BaseModel], within: str = ""
) -> RefusedError:
    """Pydantic's errors as a refusal. `within` names where the fields stand (`query`, …)."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    malformed = next((one for one in found if one["type"] == "json_invalid"), None)
    if malformed is not None:
        detail = malformed["msg"].removeprefix("Invalid JSON: ")
        return RefusedError(
            Refusal.BAD_REQUEST,
            f"the body is not JSON: {detail}",
            [FieldError("body", detail, _REMEDIES["json_invalid"])],
        )
    errors = [_field_error(one, model) for one in found]
    where = f" in the {within}" if within else ""
    named = ", ".join(one.field for one in errors[:5])
    return RefusedError(Refusal.INVALID, f"not as expected{where}: {named}", errors)


def _field_error(one: ErrorDetails, model: type[BaseModel]) -> FieldError:
    path = one["loc"]
    field = field_path(path) or "body"
    if one["type"] == "extra_forbidden":
        return FieldError(field, "there is no such field", _nearest(str(path[-1]), path, model))
    detail = one["msg"].removeprefix("Value error, ")
    return FieldError(field, detail, _REMEDIES.get(one["type"], _DEFAULT_REMEDY))


def _nearest(name: str, path: Sequence[int | str], model: type[BaseModel]) -> str:
    known = list(model.model_fields) if len(path) == 1 else []
    close = difflib.get_close_matches(name, known, n=1)
    if close:
        return f"did you mean {close[0]!r}?"
    return f"remove it; known: {', '.join(known)}" if known else "remove it"


def field_path(path: Sequence[int | str]) -> str:
    """`("poll", "options", 1)` as `poll.options[1]`."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            text += f".{step}" if text else step
    return text


@web.middleware
async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answers every error with a problem document; unforeseen ones with an id that the log has."""
    try:
        _refuse_nul(request)
        return await handler(request)
    except (RefusedError, web.HTTPException) as error:
        refused = _as_refusal(request, error)
        if refused is None:
            raise
        language = language_of(request.headers.get("Accept-Language", ""), "en")
        return response(refused, _headers(error), language)
    except VaultError as error:
        return _unexpected(request, error, str(error))
    except Exception as error:  # noqa: BLE001 -- the last resort: logged whole, told as an id
        if faults.away(error):
            return _away(request, error)
        return _unexpected(request, error, "something went wrong on our side")


def _refuse_nul(request: web.Request) -> None:
    """No database stores one, and PostgreSQL fails when it is asked for one."""
    if "\0" in request.path:
        raise web.HTTPNotFound


def _as_refusal(request: web.Request, error: Exception) -> RefusedError | None:
    """None for what is no error (a redirect)."""
    match error:
        case RefusedError():
            return error
        case web.HTTPMethodNotAllowed():
            detail = f"{request.path} does not take {error.method}"
            field = FieldError("method", detail, f"use {_allowed(error)}")
            return RefusedError(Refusal.METHOD, detail, [field])
        case web.HTTPNotFound():
            detail = f"there is nothing at {request.path}"
            field = FieldError("path", detail, "see /api/v1/docs for what there is")
            return RefusedError(Refusal.NOT_FOUND, detail, [field])
        case web.HTTPRequestEntityTooLarge():
            return too_large(error.text or "the request is too large")
        case _:
            return None


def _headers(error: Exception) -> Mapping[str, str] | None:
    if isinstance(error, web.HTTPMethodNotAllowed):
        return {"Allow": _allowed(error)}
    if isinstance(error, RefusedError) and error.refusal is Refusal.UNAUTHENTICATED:
        return {"WWW-Authenticate": 'Bearer realm="estafette"'}
    return None


def _allowed(error: web.HTTPMethodNotAllowed) -> str:
    return ", ".join(sorted(error.allowed_methods))


def too_large(detail: str) -> RefusedError:
    """The body is larger than is taken."""
    return RefusedError(
        Refusal.TOO_LARGE,
        detail,
        [FieldError("body", detail, "shorten the text; upload pictures with POST /api/v1/media")],
    )


def _away(request: web.Request, error: Exception) -> web.Response:
    """Nothing can be stored just now; whether something was is for the key to tell."""
    log.error(
        "request.refused", method=request.method, path=request.path, error=faults.explain(error)
    )
    detail, first = "the database does not answer just now", ""
    if faults.full(error):
        detail, first = "the disk is full", "make room on the disk, then "
    remedy = f"{first}send it again; with the same Idempotency-Key it is not taken twice"
    refused = RefusedError(Refusal.UNAVAILABLE, detail, [FieldError("service", detail, remedy)])
    return response(refused, {"Retry-After": RETRY_AFTER})


def _unexpected(request: web.Request, error: Exception, detail: str) -> web.Response:
    trace = str(uuid_utils.uuid7())
    log.error("request failed", id=trace, method=request.method, path=request.path, exc_info=error)
    return document(
        status=500,
        code="unexpected",
        title="The service failed",
        detail=f"{detail}; the log has it under {trace}",
        id=trace,
    )
