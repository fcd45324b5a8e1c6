"""What WordPress's answers mean. Pure.

`code` decides, where there is one: its wording is translated. An answer that is no JSON comes
from something before WordPress (firewall, cache, web server) or from a WordPress that could not
start. Source: WordPress core 6.x, REST API controllers (read November 2026).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from channels.blog.gone import page_gone
from channels.blog.server import doubt, throttled, too_large
from channels.exchange import Answer, retry_after
from channels.outcome import (
    AccessLost,
    AccessReason,
    Gone,
    Outcome,
    Problem,
    Rejected,
    Unavailable,
)

_BAD_PASSWORD = frozenset(
    {
        "incorrect_password",
        "invalid_username",
        "invalid_email",
        "rest_not_logged_in",
        "application_passwords_disabled",
        "application_passwords_disabled_for_user",
    }
)
_NOT_ALLOWED = (
    "rest_cannot_",
    "rest_forbidden",
    "rest_upload_limited_space",
    "rest_user_cannot_",
)
_GONE_ITEM = frozenset({"rest_post_invalid_id", "rest_already_trashed"})
_HASH_MISMATCH = "rest_upload_hash_mismatch"
# Answered with HTTP 500, and yet about the file: its type is not allowed, or it is too large.
_REFUSED_FILE = "rest_upload_sideload_error"

_CONNECT_AGAIN = (
    "make a new application password in WordPress (Users, Profile) and connect again; if it is"
    " right, ask the host to pass the Authorization header on"
)
NEW_ROLE = (
    "give this user the role Editor in WordPress (Author is enough when all categories exist),"
    " then resume the account"
)


def code_of(answer: Answer) -> str:
    """WordPress's own error code, empty when the answer is not one of its errors."""
    return str(answer.fields.get("code", "")) if "message" in answer.fields else ""


def read_refusal(answer: Answer, now: datetime, *, writes: bool) -> Outcome:
    """The outcome of an answer that is not the success it should be. `writes`: the request was
    the one that publishes, so that a failure inside WordPress leaves a doubt."""
    code = code_of(answer)
    if code:
        return _wordpress_said(answer, code, now, writes=writes)
    return _something_said(answer, now, writes=writes)


def _wordpress_said(  # noqa: PLR0911 -- one for each row of the table
    answer: Answer, code: str, now: datetime, *, writes: bool
) -> Outcome:
    evidence = answer.evidence(code=code)
    words = str(answer.fields["message"])[:300]
    if code in _BAD_PASSWORD or (answer.status == 401 and not code.startswith(_NOT_ALLOWED)):
        return AccessLost(
            reason=AccessReason.TOKEN, detail=words, remedy=_CONNECT_AGAIN, evidence=evidence
        )
    if code in _GONE_ITEM:
        return page_gone(evidence)
    if code.startswith(_NOT_ALLOWED) and answer.status in {401, 403}:
        # 401: WordPress saw nobody at all behind the request.
        seen = answer.status == 403
        return AccessLost(
            reason=AccessReason.ROLE if seen else AccessReason.TOKEN,
            detail=words,
            remedy=NEW_ROLE if seen else _CONNECT_AGAIN,
            evidence=evidence,
        )
    if code == "rest_no_route":
        return Gone(detail="the site's REST API is switched off", evidence=evidence)
    if answer.status == 503:
        return Unavailable(
            reason=words, until=retry_after(answer.header("Retry-After"), now), evidence=evidence
        )
    if answer.status == 429:
        return throttled(answer, now, evidence)
    if code == _HASH_MISMATCH:
        return Unavailable(reason="the picture was damaged on its way", evidence=evidence)
    if answer.status >= 500 and code != _REFUSED_FILE:
        return doubt(words, evidence, writes=writes)
    return Rejected(
        problem=Problem(
            code=code,
            detail=f"WordPress refuses it: {words}",
            field="media" if code.startswith("rest_upload_") else _field(answer.fields),
            remedy="change what it names, then try again",
        ),
        evidence=evidence,
    )


def _something_said(  # noqa: PLR0911 -- one for each row of the table
    answer: Answer, now: datetime, *, writes: bool
) -> Outcome:
    evidence = answer.evidence()
    match answer.status:
        case 401:
            return AccessLost(
                reason=AccessReason.TOKEN,
                detail="the web server asks for a password of its own",
                remedy="let the REST API through, or ask the host to pass Authorization on",
                evidence=evidence,
            )
        case 403 | 406 | 429:
            return throttled(answer, now, evidence)
        case 404 | 410:
            return Gone(detail="no WordPress answers at this address", evidence=evidence)
        case 413:
            return too_large(evidence)
        case 503:
            return Unavailable(
                reason="the site is under maintenance",
                until=retry_after(answer.header("Retry-After"), now),
                evidence=evidence,
            )
        case status if 300 <= status < 400:
            return AccessLost(
                reason=AccessReason.MISCONFIGURED,
                detail="the site sends us to another address, where a post would lose its text",
                remedy=f"connect the account with {answer.header('Location')[:200] or 'that one'}",
                evidence=evidence,
            )
        case status if status >= 500:
            return doubt(f"HTTP {status}", evidence, writes=writes)
        case _:
            return doubt("a page instead of an answer", evidence, writes=writes)


def _field(fields: Mapping[str, Any]) -> str:
    """The post's field behind the parameter that WordPress names."""
    data = fields.get("data")
    params = data.get("params") if isinstance(data, dict) else None
    name = next(iter(params), "") if isinstance(params, dict) else ""
    ours = {"content": "body", "excerpt": "summary", "featured_media": "media"}
    return ours.get(name, str(name))
