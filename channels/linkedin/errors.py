"""What a LinkedIn error answer means. Pure.

Envelope: `{"status", "serviceErrorCode", "code", "message", "errorDetails": {"inputErrors": […]}}`,
any of them possibly missing. Codes and field names decide, never a search through the message.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from channels.exchange import Answer, retry_after
from channels.outcome import (
    AccessLost,
    AccessReason,
    Evidence,
    Gone,
    Outcome,
    Problem,
    Rejected,
    Throttled,
    Unavailable,
    Unconfirmed,
)

RECONNECT = "Reconnect the LinkedIn page."
_URN = re.compile(r"urn:li:(?:share|ugcPost):\d+")
_TOKEN = {
    "65600": "the access token is invalid",
    "65601": "the access token was revoked",
    "65602": "the access token has expired",
    "REVOKED_ACCESS_TOKEN": "the access token was revoked",
    "EXPIRED_ACCESS_TOKEN": "the access token has expired",
    "INVALID_ACCESS_TOKEN": "the access token is invalid",
    "EMPTY_ACCESS_TOKEN": "no access token reached LinkedIn",
}
_PROBLEMS: Mapping[str, tuple[str, str, str]] = {
    "FIELD_LENGTH_TOO_LONG": ("text-too-long", "body", "Shorten the text for LinkedIn."),
    "CONTENT_BLOCKED": ("content-blocked", "body", "Change the words, the link or the picture."),
    "MISSING_FIELD": ("missing-field", "", "See LinkedIn's answer for the field's name."),
    "INVALID_PARAMETER": ("invalid-field", "", "See LinkedIn's answer for the field's name."),
}


def codes(answer: Answer) -> list[str]:
    """Every code of the answer, the most telling first."""
    fields = answer.fields
    inputs = [str(entry.get("code", "")) for entry in _input_errors(fields)]
    outer = [str(fields.get(name, "")) for name in ("serviceErrorCode", "code")]
    return list(filter(None, [*inputs, *outer]))


def evidence(answer: Answer) -> Evidence:
    return answer.evidence(
        code="/".join(codes(answer)[:2]),
        trace=answer.header("x-li-uuid") or answer.header("x-li-request-id"),
    )


def duplicate_of(answer: Answer) -> str | None:
    """The URN of the post that LinkedIn already has; empty when it says so without naming it,
    None when the answer is about something else."""
    if answer.status != 409 and "DUPLICATE_POST" not in codes(answer):
        return None
    found = _URN.search(str(answer.fields.get("message", "")))
    return found[0] if found else ""


def forbidden_unexplained(answer: Answer) -> bool:
    """A 403 without any code: seen once in a while on healthy pages; only a probe can tell."""
    return answer.status == 403 and not codes(answer) and not _about_author(answer)


def outcome_of(  # noqa: PLR0911 -- one return for each row of the table
    answer: Answer, *, writes: bool, now: datetime
) -> Outcome:
    """The outcome of an answer that is not a success. `writes`: the call would have published."""
    proof = evidence(answer)
    said = _said(answer)
    match answer.status:
        case 401:
            return _lost(AccessReason.TOKEN, _token(answer), RECONNECT, proof)
        case 403:
            return _forbidden(answer, said, proof)
        case 404 | 410:
            return Gone(detail=f"LinkedIn does not know the page: {said}", evidence=proof)
        case 426:
            remedy = "Set the account's LinkedIn version to one that LinkedIn serves."
            return _lost(AccessReason.VERSION, said, remedy, proof)
        case 429:
            return Throttled(until=_calm_at(answer, now), reason=said, evidence=proof)
        case 400 | 409 | 413 | 422:
            return _refused(answer, said, proof)
        case status if 300 <= status < 500:
            remedy = "Check the address of the API in the account's settings."
            return _lost(AccessReason.MISCONFIGURED, said, remedy, proof)
        case _ if writes:
            return Unconfirmed(detail=f"LinkedIn may have published: {said}", evidence=proof)
        case _:
            return Unavailable(
                reason=said, until=retry_after(answer.header("Retry-After"), now), evidence=proof
            )


def _forbidden(answer: Answer, said: str, proof: Evidence) -> Outcome:
    if _about_author(answer):
        remedy = "Give the person who connected the page an administrator role on it."
        return _lost(AccessReason.ROLE, said, remedy, proof)
    remedy = "Reconnect the page, as one of its administrators, and grant every permission."
    return _lost(AccessReason.PERMISSION, said, remedy, proof)


def _refused(answer: Answer, said: str, proof: Evidence) -> Outcome:
    if _about_author(answer):
        return _forbidden(answer, said, proof)
    known = next((_PROBLEMS[code] for code in codes(answer) if code in _PROBLEMS), None)
    code, field, remedy = known or ("refused", "", "See LinkedIn's answer.")
    return Rejected(
        problem=Problem(code=code, detail=said, field=field, remedy=remedy), evidence=proof
    )


def _lost(reason: AccessReason, detail: str, remedy: str, proof: Evidence) -> AccessLost:
    return AccessLost(reason=reason, detail=detail, remedy=remedy, evidence=proof)


def _token(answer: Answer) -> str:
    return next((_TOKEN[code] for code in codes(answer) if code in _TOKEN), _said(answer))


def _calm_at(answer: Answer, now: datetime) -> datetime | None:
    """Daily quotas (code 101, no header) start afresh at midnight UTC."""
    hinted = retry_after(answer.header("Retry-After"), now)
    if hinted is None and "101" in codes(answer):
        return now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    return hinted


def _said(answer: Answer) -> str:
    message = str(answer.fields.get("message", ""))[:300].strip()
    return f"LinkedIn answered {answer.status}" + (f": {message}" if message else "")


def _about_author(answer: Answer) -> bool:
    """Whether the refused field is the author: the credential may not speak for the page."""
    for entry in _input_errors(answer.fields):
        place = entry.get("input")
        path = place.get("inputPath") if isinstance(place, dict) else None
        if isinstance(path, dict) and path.get("fieldPath") in {"author", "/author"}:
            return True
    return str(answer.fields.get("message", "")).startswith("ERROR :: /author ")


def _input_errors(fields: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    details = fields.get("errorDetails")
    entries = details.get("inputErrors") if isinstance(details, dict) else None
    return [e for e in entries if isinstance(e, dict)] if isinstance(entries, list) else []
