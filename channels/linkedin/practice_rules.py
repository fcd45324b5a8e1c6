"""What the practice LinkedIn accepts in a post, and how it words a refusal. Pure.

Reads the `little` format on its own, so that a misreading in the adapter shows.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from aiohttp import web

from channels.sandbox.faults import FaultName
from channels.sandbox.ledger import Entry

TEXT_LIMIT = 3000

_LITTLE = re.compile(
    r"(?:\\.|\{hashtag\|\\?#\|[^|{}]+\}|@\[[^\]]+\]\(urn:li:\w+:\d+\)|#\w+"
    r"|[^\\|{}@\[\]()<>#*_~])*",
    re.DOTALL,
)
_TYPES: Mapping[str, type] = {
    "author": str,
    "commentary": str,
    "visibility": str,
    "distribution": dict,
    "lifecycleState": str,
    "isReshareDisabledByAuthor": bool,
    "content": dict,
}
_REQUIRED = ("author", "visibility", "distribution", "lifecycleState")
_CONTENT: Mapping[str, frozenset[str]] = {
    "media": frozenset({"id", "title", "altText"}),
    "multiImage": frozenset({"images"}),
    "article": frozenset({"source", "title", "description", "thumbnail"}),
    "poll": frozenset({"question", "options", "settings"}),
}
_DURATIONS = frozenset({"ONE_DAY", "THREE_DAYS", "SEVEN_DAYS", "FOURTEEN_DAYS"})

Refusal = web.Response | None


def error(status: int, message: str, **fields: Any) -> web.Response:
    return web.json_response({"message": message, "status": status, **fields}, status=status)


def input_error(code: str, message: str, path: str = "") -> web.Response:
    place = {"inputPath": {"fieldPath": path}} if path else {}
    return error(
        422,
        message,
        errorDetailType="com.linkedin.common.error.BadRequest",
        errorDetails={"inputErrors": [{"description": message, "input": place, "code": code}]},
    )


def duplicate(urn: str) -> web.Response:
    refused = {"description": "Duplicate post is detected", "input": {}, "code": "DUPLICATE_POST"}
    return error(
        422,
        "com.linkedin.content.common.exception.BadRequestResponseException:"
        f" Content is a duplicate of {urn}",
        errorDetailType="com.linkedin.common.error.BadRequest",
        errorDetails={"inputErrors": [refused]},
    )


def forbidden() -> web.Response:
    message = "Not enough permissions to access: partnerApiPostsExternal.CREATE"
    return error(403, message, serviceErrorCode=100, code="ACCESS_DENIED")


def not_found(what: str) -> web.Response:
    return error(404, f"Could not find {what}", code="NOT_FOUND")


def too_long(commentary: str) -> Refusal:
    if len(commentary) <= TEXT_LIMIT:
        return None
    message = f"/commentary is longer than {TEXT_LIMIT}"
    return input_error("FIELD_LENGTH_TOO_LONG", message, "/commentary")


# Faults in LinkedIn's own words: those of every call, then those of publishing alone.
EVERYWHERE: Mapping[FaultName, Callable[[], web.Response]] = {
    FaultName.TOKEN_DEAD: lambda: error(
        401,
        "The token used in the request has been revoked by the user",
        serviceErrorCode=65601,
        code="REVOKED_ACCESS_TOKEN",
    ),
    FaultName.THROTTLED: lambda: error(
        429,
        "Resource level throttle APPLICATION DAY limit for calls to this resource is reached.",
        serviceErrorCode=101,
        code="TOO_MANY_REQUESTS",
    ),
    FaultName.SERVER_ERROR: lambda: error(500, "Internal Server Error"),
}
PUBLISHING: Mapping[FaultName, Callable[[], web.Response]] = {
    FaultName.PERMISSION_LOST: forbidden,
    FaultName.ROLE_LOST: forbidden,
    FaultName.PAGE_GONE: lambda: not_found("the organization"),
    FaultName.UNPUBLISHED: lambda: not_found("the organization"),
    FaultName.REJECTED: lambda: input_error(
        "CONTENT_BLOCKED", "The content was blocked", "/commentary"
    ),
}


def wrong_headers(request: web.Request, token: str, versions: frozenset[str]) -> Refusal:
    version = request.headers.get("LinkedIn-Version")
    if version is None:
        message = "A version must be present. Please specify one in the LinkedIn-Version header."
        return error(400, message, code="VERSION_MISSING")
    if version not in versions:
        message = f"Requested version {version}01 is not active"
        return error(426, message, code="NONEXISTENT_VERSION")
    if request.headers.get("Authorization") != f"Bearer {token}":
        return error(
            401, "Invalid access token", serviceErrorCode=65600, code="INVALID_ACCESS_TOKEN"
        )
    return _wrong_rest_li(request)


def _wrong_rest_li(request: web.Request) -> Refusal:
    if request.headers.get("X-Restli-Protocol-Version") != "2.0.0":
        return error(400, "Invalid Rest.li protocol version", code="ILLEGAL_ARGUMENT")
    # Rest.li 2 reads a raw colon as syntax, in paths and in parameters.
    if ":" in request.raw_path:
        return error(400, "Syntax exception in path variables", code="ILLEGAL_ARGUMENT")
    if request.method == "POST" and request.content_type != "application/json":
        return error(415, "Unsupported Content-Type", code="UNSUPPORTED_MEDIA_TYPE")
    return None


def wrong_post(fields: Any, author: str, has_image: Callable[[str], bool]) -> Refusal:
    """Why a post is refused, None when it is not."""
    if not isinstance(fields, dict):
        return error(400, "Could not parse the request body", code="ILLEGAL_ARGUMENT")
    content = fields.get("content", {})
    return (
        _wrong_types(fields)
        or _wrong_values(fields, author)
        or _unknown_content(content)
        or _wrong_images(content, has_image)
        or _wrong_article(content.get("article"))
        or _wrong_poll(content.get("poll"))
    )


def _wrong_types(fields: Mapping[str, Any]) -> Refusal:
    for name, value in fields.items():
        if name not in _TYPES:
            return unrecognized(f"/{name}")
        if not isinstance(value, _TYPES[name]):
            return input_error("INVALID_PARAMETER", f"/{name} has the wrong type", f"/{name}")
    missing = next((name for name in _REQUIRED if name not in fields), None)
    return input_error("MISSING_FIELD", f"/{missing} is required", missing) if missing else None


def unrecognized(path: str) -> web.Response:
    return error(422, f"ERROR :: {path} :: unrecognized field found but not allowed\n")


def _wrong_values(fields: Mapping[str, Any], author: str) -> Refusal:
    if fields["author"] != author:
        message = "ERROR :: /author :: the member may not post for this organization\n"
        return error(403, message)
    commentary = fields.get("commentary", "")
    longer = too_long(commentary)
    if longer is not None:
        return longer
    if not commentary and not fields.get("content"):
        return input_error("MISSING_FIELD", "commentary or content is required", "/commentary")
    return None


def _unknown_content(content: Mapping[str, Any]) -> Refusal:
    for kind, value in content.items():
        extra = set(value) - _CONTENT[kind] if kind in _CONTENT else {""}
        if extra:
            return unrecognized(f"/content/{kind}/{min(extra)}")
    return None


def _wrong_images(content: Mapping[str, Any], has_image: Callable[[str], bool]) -> Refusal:
    several = content.get("multiImage", {}).get("images")
    if several is not None and not 2 <= len(several) <= 20:
        return input_error("INVALID_PARAMETER", "2 to 20 images", "/content/multiImage")
    urns = [picture.get("id") for picture in several or []]
    urns += [content["media"].get("id")] if "media" in content else []
    urns += filter(None, [content.get("article", {}).get("thumbnail")])
    if all(has_image(str(urn)) for urn in urns):
        return None
    return input_error("INVALID_PARAMETER", "no such image", "/content")


def _wrong_article(article: Mapping[str, Any] | None) -> Refusal:
    if article is None:
        return None
    for name in ("source", "title"):
        if not article.get(name):
            path = f"/content/article/{name}"
            return input_error("MISSING_FIELD", f"{path} is required", path)
    if len(article["title"]) >= 400 or len(article.get("description", "")) >= 4086:
        return input_error("FIELD_LENGTH_TOO_LONG", "too long", "/content/article")
    return None


def _wrong_poll(poll: Mapping[str, Any] | None) -> Refusal:
    if poll is None:
        return None
    texts = [option.get("text", "") for option in poll.get("options", [])]
    good = (
        0 < len(poll.get("question", "")) <= 140
        and 2 <= len(texts) <= 4
        and all(0 < len(text) <= 30 for text in texts)
        and poll.get("settings", {}).get("duration") in _DURATIONS
    )
    return None if good else input_error("INVALID_PARAMETER", "invalid poll", "/content/poll")


def shown(commentary: str) -> str:
    """What LinkedIn keeps: everything up to the first reserved character that is not escaped."""
    kept = _LITTLE.match(commentary)
    return kept[0] if kept else ""


def as_post(entry: Entry) -> dict[str, Any]:
    """What the API says of a post."""
    stamp = int(entry.created_at * 1000)
    fields = {name: value for name, value in entry.payload.items() if name != "sent"}
    times = {"createdAt": stamp, "publishedAt": stamp, "lastModifiedAt": stamp}
    return {**fields, **times, "id": entry.remote_id, "lifecycleState": "PUBLISHED"}
