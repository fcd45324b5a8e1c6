"""How the practice LinkedIn reads a request: its parameters, its body, its pictures, its pages."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

from aiohttp import web
from PIL import Image, UnidentifiedImageError

from channels.linkedin.practice_rules import Refusal, error, input_error, too_long, unrecognized

PIXELS = 36_152_320
_PAGING = {"start": "0", "count": "10"}
_MOST_AT_ONCE = 100


def unreadable() -> web.Response:
    return error(400, "Could not parse the request body", code="ILLEGAL_ARGUMENT")


# The parameters that each finder, action and entity documents.
_PARAMETERS: Mapping[tuple[str, str], frozenset[str]] = {
    ("GET", "/rest/posts"): frozenset({"q", "author", "count", "start", "sortBy", "isDsc"}),
    ("GET", "/rest/posts/{urn}"): frozenset({"viewContext"}),
    ("POST", "/rest/images"): frozenset({"action"}),
    ("GET", "/rest/organizationAcls"): frozenset({"q", "role", "state", "count", "start"}),
    ("GET", "/rest/networkSizes/{urn}"): frozenset({"edgeType"}),
}


def wrong_query(request: web.Request, route: str) -> Refusal:
    """Parameters that nobody documents are refused, and so is what is no number."""
    extra = set(request.query) - _PARAMETERS.get((request.method, route), frozenset())
    if extra:
        message = f"Invalid query parameters passed to request: {min(extra)}"
        return error(400, message, code="QUERY_PARAM_NOT_ALLOWED")
    numbers = [request.query[name] for name in ("start", "count") if name in request.query]
    if all(number.isdecimal() for number in numbers):
        return None
    return error(400, "Invalid paging parameters", code="ILLEGAL_ARGUMENT")


def wrong_edit(body: Any) -> Refusal:
    """A partial update sets what may be set."""
    patch = body.get("patch") if isinstance(body, dict) else None
    changes = patch.get("$set") if isinstance(patch, dict) else None
    if not isinstance(changes, dict) or not changes:
        return unreadable()
    if set(changes) != {"commentary"}:
        return unrecognized(f"/patch/$set/{min(set(changes) - {'commentary'}, default='')}")
    if not isinstance(changes["commentary"], str):
        return input_error("INVALID_PARAMETER", "/commentary has the wrong type", "/commentary")
    return too_long(changes["commentary"])


def is_picture(content: bytes) -> bool:
    """Whether LinkedIn can process it: a JPEG, PNG or GIF of fewer pixels than it takes."""
    try:
        with Image.open(io.BytesIO(content), formats=("JPEG", "PNG", "GIF")) as image:
            return image.width * image.height < PIXELS
    except (UnidentifiedImageError, OSError, Image.DecompressionBombError):
        return False


async def sent(request: web.Request) -> Any:
    """The JSON of a body, None when it is none."""
    try:
        return json.loads(await request.read())
    except ValueError:
        return None


def paged(request: web.Request, every: Sequence[Mapping[str, str]]) -> web.Response:
    """What `start` and `count` ask for, with a link to what follows."""
    start, count = (request.query.get(name, usual) for name, usual in _PAGING.items())
    if not 0 < int(count) <= _MOST_AT_ONCE:
        return error(400, "Invalid paging parameters", code="ILLEGAL_ARGUMENT")
    end = int(start) + int(count)
    href = f"{request.rel_url.update_query(start=end, count=count)}"
    links = [{"type": "application/json", "rel": "next", "href": href}] if end < len(every) else []
    paging = {"start": int(start), "count": int(count), "links": links}
    return web.json_response({"elements": list(every[int(start) : end]), "paging": paging})
