"""What Ghost's Admin API refuses, and in which words: the rules of the practice platform."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import jwt
from aiohttp import hdrs, web

from channels.sandbox.ledger import Entry

KEY_ID = "6489a0c5f1d2e3b4a5968778"
KEY_SECRET = "9f" * 32
STATUSES = ("draft", "published", "scheduled", "sent")
_LIMITS = {"title": 255, "slug": 191, "custom_excerpt": 300, "feature_image_alt": 191}
# The schema takes no others; the second part is taken and left aside.
_FIELDS = frozenset(
    {
        "title", "slug", "lexical", "mobiledoc", "html", "feature_image", "feature_image_alt",
        "feature_image_caption", "featured", "status", "locale", "visibility", "tiers",
        "meta_title", "meta_description", "updated_at", "published_at", "custom_excerpt",
        "codeinjection_head", "codeinjection_foot", "og_image", "og_title", "og_description",
        "twitter_image", "twitter_title", "twitter_description", "email_subject", "email_only",
        "custom_template", "canonical_url", "authors", "tags", "newsletter",
        "id", "uuid", "comment_id", "author", "author_id", "page", "created_at", "created_by",
        "updated_by", "published_by", "url", "primary_tag", "primary_author", "excerpt",
        "plaintext", "email", "send_email_when_published", "email_recipient_filter",
    }
)  # fmt: skip


class Refused(Exception):  # noqa: N818 -- an answer, in Ghost's words
    """An error as Ghost words it."""

    def __init__(
        self, status: int, kind: str, message: str, *, code: str | None = None, name: str = ""
    ) -> None:
        super().__init__(kind)
        self.status = status
        self.error = {
            "message": message,
            "context": None,
            "type": kind,
            "details": None,
            "property": name or None,
            "help": None,
            "code": code,
            "id": str(uuid.uuid4()),
            "ghostErrorCode": None,
        }


def check_token(request: web.Request) -> None:
    """Refuse what is not signed with the key, is too old, or asks for another version."""
    scheme, _, given = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
    if scheme != "Ghost" or not given:
        raise Refused(403, "NoPermissionError", "Authorization failed")
    try:
        kid = jwt.get_unverified_header(given).get("kid")
        if kid is None:
            raise Refused(
                400, "BadRequestError", "No 'kid' in the token.", code="MISSING_ADMIN_API_KID"
            )
        if kid != KEY_ID:
            raise unauthorised("UNKNOWN_ADMIN_API_KEY", "Unknown Admin API Key")
        claims = jwt.decode(
            given,
            bytes.fromhex(KEY_SECRET),
            algorithms=["HS256"],
            audience="/admin/",
            options={"require": ["exp", "iat"]},
        )
    except jwt.InvalidTokenError as error:
        raise unauthorised("INVALID_JWT", f"Invalid token: {error}") from error
    if claims["exp"] - claims["iat"] > 300:
        raise unauthorised("INVALID_JWT", "Invalid token: maxAge exceeded")
    version = request.headers.get("Accept-Version", "v6.0")
    if not re.fullmatch(r"v[56]\.\d+", version):
        raise Refused(406, "RequestNotAcceptableError", f"Ghost 6.0 cannot serve {version}.")


async def post_fields(request: web.Request) -> dict[str, Any]:
    if request.content_type != "application/json":
        raise Refused(415, "UnsupportedMediaTypeError", "Send application/json.")
    try:
        fields = (await request.json())["posts"][0]
    except (ValueError, KeyError, IndexError, TypeError):
        raise Refused(400, "BadRequestError", "No root key ('posts') provided.") from None
    if not isinstance(fields, dict):
        raise Refused(400, "BadRequestError", "No root key ('posts') provided.")
    return fields


def check(fields: Mapping[str, Any]) -> None:
    """The lengths and the closed set that Ghost's schema has."""
    unknown = sorted(set(fields) - _FIELDS)
    if unknown:
        raise Refused(
            422, "ValidationError", f"Validation failed for {unknown[0]}.", name=unknown[0]
        )
    for name, limit in _LIMITS.items():
        if len(fields.get(name) or "") > limit:
            raise Refused(
                422,
                "ValidationError",
                f"Value in [posts.{name}] exceeds maximum length of {limit} characters.",
                name=name,
            )
    if fields.get("status", "draft") not in STATUSES:
        raise Refused(422, "ValidationError", "Invalid status.", name="status")
    if any(not isinstance(tag, dict) for tag in fields.get("tags", [])):
        raise Refused(422, "ValidationError", "Tags are objects with a name.", name="tags")


def unauthorised(code: str, message: str) -> Refused:
    return Refused(401, "UnauthorizedError", message, code=code)


def shown(post: Entry) -> dict[str, Any]:
    return {"id": post.remote_id, "title": post.text, **post.payload}


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def html(status: int, body: str) -> web.Response:
    page = f"<!doctype html><html><body>{body}</body></html>"
    return web.Response(status=status, text=page, content_type="text/html")
