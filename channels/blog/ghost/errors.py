"""What Ghost's answers mean. Pure.

`type` and `code` of the first error decide; the message is for people. Source: Ghost 6.x, its
api-framework, session-auth and maintenance middleware (read November 2026).
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
    Evidence,
    Gone,
    Outcome,
    Problem,
    Rejected,
    Unavailable,
)

_TOKEN_CODES = frozenset({"INVALID_JWT", "MISSING_ADMIN_API_KID", "INVALID_AUTH_HEADER"})
_NEW_KEY = "copy the Admin API key again from Ghost (Settings, Integrations) and connect again"


def first_error(answer: Answer) -> Mapping[str, Any]:
    """The error Ghost names first; empty when the answer is none of its errors."""
    errors = answer.fields.get("errors")
    first = errors[0] if isinstance(errors, list) and errors else None
    return first if isinstance(first, dict) else {}


def code_of(answer: Answer) -> str:
    """`INVALID_JWT`, `NotFoundError`: the code, or the type where there is none."""
    error = first_error(answer)
    return str(error.get("code") or error.get("type") or "")


def evidence_of(answer: Answer) -> Evidence:
    return answer.evidence(code=code_of(answer), trace=str(first_error(answer).get("id") or ""))


def read_refusal(answer: Answer, now: datetime, *, writes: bool, item: bool = False) -> Outcome:
    """The outcome of an answer that is not the success it should be. `writes`: the request may
    have changed what readers see. `item`: it named one post, which may be gone."""
    if first_error(answer):
        return _ghost_said(answer, now, writes=writes, item=item)
    return _something_said(answer, now, writes=writes)


def _ghost_said(  # noqa: PLR0911 -- one for each row of the table
    answer: Answer, now: datetime, *, writes: bool, item: bool
) -> Outcome:
    error, evidence = first_error(answer), evidence_of(answer)
    kind = str(error.get("type") or "")
    words = ": ".join(filter(None, (str(error.get(name) or "") for name in ("message", "context"))))
    if answer.status == 401 or str(error.get("code")) in _TOKEN_CODES:
        return _no_access(AccessReason.TOKEN, words, _NEW_KEY, evidence)
    if kind == "HostLimitError":
        remedy = "the site's plan has reached a limit; see its billing page"
        return _no_access(AccessReason.POLICY, words, remedy, evidence)
    if answer.status == 403:
        remedy = "the integration may not do this; make a new one and connect its key"
        return _no_access(AccessReason.PERMISSION, words, remedy, evidence)
    if answer.status == 406:
        remedy = "update Ghost, or connect again with the API version it has"
        return _no_access(AccessReason.VERSION, words, remedy, evidence)
    if answer.status == 404:
        return page_gone(evidence) if item else Gone(detail=words, evidence=evidence)
    if answer.status == 409:
        return Unavailable(reason=f"somebody else edits it: {words}", evidence=evidence)
    if answer.status == 429:
        return throttled(answer, now, evidence)
    if kind == "MaintenanceError":  # refused before anything else looks at the request
        until = retry_after(answer.header("Retry-After"), now)
        return Unavailable(reason=words, until=until, evidence=evidence)
    if answer.status >= 500:
        return doubt(words, evidence, writes=writes)
    return Rejected(
        problem=Problem(
            code=code_of(answer),
            detail=f"Ghost refuses it: {words}",
            field=_field(str(error.get("property") or ""), answer.status),
            remedy="change what it names, then try again",
        ),
        evidence=evidence,
    )


def _something_said(answer: Answer, now: datetime, *, writes: bool) -> Outcome:
    evidence = answer.evidence()
    match answer.status:
        case 401:
            remedy = "let the Admin API through the web server's own password"
            return _no_access(
                AccessReason.TOKEN, "the web server asks for a password", remedy, evidence
            )
        case 403 | 406 | 429:
            return throttled(answer, now, evidence)
        case 404 | 410:
            return Gone(detail="no Ghost answers at this address", evidence=evidence)
        case 413:
            return too_large(evidence)
        case status if 300 <= status < 400:
            where = answer.header("Location")[:200] or "that one"
            return _no_access(
                AccessReason.MISCONFIGURED,
                "the site sends us to another address, where a post would lose its text",
                f"connect the account with {where}",
                evidence,
            )
        case status:
            words = f"HTTP {status}" if status >= 500 else "a page instead of an answer"
            return doubt(words, evidence, writes=writes)


def _no_access(reason: AccessReason, detail: str, remedy: str, evidence: Evidence) -> AccessLost:
    return AccessLost(reason=reason, detail=detail[:300], remedy=remedy, evidence=evidence)


def _field(name: str, status: int) -> str:
    """The post's field behind the property that Ghost names."""
    if status in {413, 415}:
        return "media"
    ours = {"html": "body", "lexical": "body", "custom_excerpt": "summary"}
    return ours.get(name, "media" if name.startswith("feature_image") else name)
