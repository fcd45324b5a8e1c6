"""What a Mastodon answer means. Pure. Envelope: `{"error": "…"}`; the status decides.

Source: docs.joinmastodon.org (4.5), methods statuses, media, accounts and rate limits.
"""

from __future__ import annotations

from datetime import datetime

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

RECONNECT = "Reconnect the Mastodon account."
# Said of an account that its moderators have closed; the scope errors read otherwise.
_SUSPENDED = frozenset(
    {"Your login is currently disabled", "Your login is currently pending approval"}
)


def evidence(answer: Answer) -> Evidence:
    return answer.evidence(code=str(answer.status), trace=answer.header("x-request-id"))


def outcome_of(  # noqa: PLR0911 -- one return for each row of the table
    answer: Answer, *, writes: bool, now: datetime
) -> Outcome:
    """The outcome of an answer that is not a success. `writes`: the call would have published."""
    proof = evidence(answer)
    said = _said(answer)
    match answer.status:
        case 401:
            return _lost(AccessReason.TOKEN, said, proof)
        case 403:
            closed = answer.fields.get("error") in _SUSPENDED
            reason = AccessReason.POLICY if closed else AccessReason.PERMISSION
            return _lost(reason, said, proof)
        case 404 | 410:
            return Gone(detail=f"the instance or the account is not there: {said}", evidence=proof)
        case 429:
            return Throttled(until=_calm_at(answer, now), reason=said, evidence=proof)
        case 400 | 413 | 422:
            problem = Problem(
                code="refused", detail=said, field="body", remedy="See the instance's answer."
            )
            return Rejected(problem=problem, evidence=proof)
        case status if 300 <= status < 500:
            return _lost(AccessReason.MISCONFIGURED, said, proof)
        case _ if writes:
            return Unconfirmed(detail=said, evidence=proof)
        case _:
            until = retry_after(answer.header("Retry-After"), now)
            return Unavailable(reason=said, until=until, evidence=proof)


def _lost(reason: AccessReason, said: str, proof: Evidence) -> AccessLost:
    return AccessLost(reason=reason, detail=said, remedy=RECONNECT, evidence=proof)


def _calm_at(answer: Answer, now: datetime) -> datetime | None:
    """When the window of 5 minutes ends (`X-RateLimit-Reset`, ISO 8601)."""
    try:
        when = datetime.fromisoformat(answer.header("X-RateLimit-Reset"))
    except ValueError:
        return retry_after(answer.header("Retry-After"), now)
    return when if when.tzinfo else None


def _said(answer: Answer) -> str:
    error = str(answer.fields.get("error", ""))[:300]
    return f"Mastodon answered {answer.status}" + (f": {error}" if error else "")
