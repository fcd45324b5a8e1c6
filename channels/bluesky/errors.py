"""What an XRPC error means. Pure. Envelope: `{"error": "<Name>", "message": "…"}`; names decide.

Source: the atproto lexicons and the reference server's source (August 2026).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from channels.exchange import Answer
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

RECONNECT = "Make a new app password in Bluesky's settings and connect the account again."
_ACCESS: Mapping[str, AccessReason] = {
    "AuthenticationRequired": AccessReason.TOKEN,
    "AuthMissing": AccessReason.TOKEN,
    "AuthFactorTokenRequired": AccessReason.TOKEN,
    "InvalidToken": AccessReason.TOKEN,
    "InvalidPassword": AccessReason.TOKEN,
    "AccountTakedown": AccessReason.POLICY,
    "AccountDeactivated": AccessReason.POLICY,
    "AccountSuspended": AccessReason.POLICY,
    "RepoTakendown": AccessReason.POLICY,
    "RepoDeactivated": AccessReason.POLICY,
}


def name_of(answer: Answer) -> str:
    return str(answer.fields.get("error", ""))


def evidence(answer: Answer) -> Evidence:
    return answer.evidence(code=name_of(answer) or str(answer.status))


def session_expired(answer: Answer) -> bool:
    return name_of(answer) == "ExpiredToken"


def outcome_of(answer: Answer, *, writes: bool, now: datetime) -> Outcome:
    """The outcome of an answer that is not a success. `writes`: the call would have published."""
    proof, name, said = evidence(answer), name_of(answer), _said(answer)
    if session_expired(answer):
        return Unavailable(reason="the session has expired", until=now, evidence=proof)
    if name in _ACCESS or answer.status in {401, 403}:
        reason = _ACCESS.get(name, AccessReason.PERMISSION)
        return AccessLost(reason=reason, detail=said, remedy=RECONNECT, evidence=proof)
    if name == "RepoNotFound":
        return Gone(detail=said, evidence=proof)
    if answer.status == 429:
        return Throttled(until=_calm_at(answer), reason=said, evidence=proof)
    if answer.status in {400, 413}:
        remedy = "See Bluesky's answer."
        problem = Problem(code="refused", detail=said, field="body", remedy=remedy)
        return Rejected(problem=problem, evidence=proof)
    return _failed(answer, writes=writes, said=said, proof=proof)


def _failed(answer: Answer, *, writes: bool, said: str, proof: Evidence) -> Outcome:
    if 300 <= answer.status < 500:
        remedy = "Check the address of the server in the account's settings."
        reason = AccessReason.MISCONFIGURED
        return AccessLost(reason=reason, detail=said, remedy=remedy, evidence=proof)
    if writes:
        return Unconfirmed(detail=said, evidence=proof)
    return Unavailable(reason=said, evidence=proof)


def _calm_at(answer: Answer) -> datetime | None:
    """`RateLimit-Reset`: Unix seconds."""
    value = answer.header("RateLimit-Reset")
    return datetime.fromtimestamp(int(value), UTC) if value.isdecimal() else None


def _said(answer: Answer) -> str:
    words = str(answer.fields.get("message", ""))[:300]
    label = name_of(answer) or str(answer.status)
    return f"Bluesky answered {label}" + (f": {words}" if words else "")
