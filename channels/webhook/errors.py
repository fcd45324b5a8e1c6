"""What a receiver's answer means, by the Standard Webhooks rules. Pure: the status decides.

Source: standard-webhooks/standard-webhooks, spec/standard-webhooks.md (1.0): 2xx is a receipt, 410
asks to be left alone, 429, 502 and 504 ask for fewer calls, anything else is a failure.
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


def evidence(answer: Answer) -> Evidence:
    return answer.evidence(code=str(answer.status))


def outcome_of(answer: Answer, *, writes: bool, now: datetime) -> Outcome:
    """The outcome of an answer that is no receipt. `writes`: the event is a post."""
    proof, said = evidence(answer), f"the receiver answered {answer.status}"
    until = retry_after(answer.header("Retry-After"), now)
    match answer.status:
        case 404 | 410:
            return Gone(detail=said, evidence=proof)
        case 429:
            return Throttled(until=until, reason=said, evidence=proof)
        case 400 | 413 | 415 | 422:
            problem = Problem(code="refused", detail=said, remedy="See the receiver's answer.")
            return Rejected(problem=problem, evidence=proof)
        case status if status < 500:
            return _closed(status, said, proof)
        case _ if writes:
            return Unconfirmed(detail=said, evidence=proof)
        case _:
            return Unavailable(reason=said, until=until, evidence=proof)


def _closed(status: int, said: str, proof: Evidence) -> AccessLost:
    if status in {401, 403}:
        remedy = "Give the receiver and this account the same secret."
        return AccessLost(reason=AccessReason.TOKEN, detail=said, remedy=remedy, evidence=proof)
    remedy = "Give the address that takes a POST itself: redirects are not followed."
    reason = AccessReason.MISCONFIGURED
    return AccessLost(reason=reason, detail=said, remedy=remedy, evidence=proof)
