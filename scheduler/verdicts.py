"""What an outcome means for one recipient, and for the run that wrote to them: pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import assert_never

from channels.outcome import (
    Accepted,
    AccessLost,
    AccessReason,
    Delivered,
    Gone,
    Outcome,
    Problem,
    RecipientOutcome,
    Rejected,
    Throttled,
    Unavailable,
    Unconfirmed,
    Unreachable,
)
from scheduler.clock import micros
from scheduler.decide import SECOND
from scheduler.logbook import Trace
from scheduler.retry import RetryPolicy, backoff
from scheduler.store.recipients import RecipientState, Settled

_DOUBT = "the worker stopped while this mail was under way"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How a broadcast runs; durations in microseconds.

    `selection` people of the list are looked at in one transaction when recipients are chosen.
    `chunk` recipients are claimed at a time, `flush_us` is the longest an outcome stays out of
    SQL, `recheck_us` the longest that consent is taken for granted. Who is refused for now is
    tried again after `defer_us`, then twice that up to `defer_cap_us`, for `patience_us` in all.
    `in_a_row`: so many refusals of our content, or so many lost answers, end the run.
    `resend_uncertain`: write again, with the same Message-ID, to who may have got the mail.
    """

    connections: int = 10
    selection: int = 5000
    chunk: int = 500
    flush_us: int = SECOND // 10
    recheck_us: int = SECOND // 2
    defer_us: int = 60 * SECOND
    defer_cap_us: int = 4 * 3600 * SECOND
    patience_us: int = 48 * 3600 * SECOND
    in_a_row: int = 10
    resend_uncertain: bool = False

    @property
    def retries(self) -> RetryPolicy:
        return RetryPolicy(base_us=self.defer_us, cap_us=self.defer_cap_us)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What to record for the recipient. `stop` ends the run; `broken`: the road itself failed;
    `suppress`: never write to this address again."""

    settled: Settled
    stop: Outcome | None = None
    broken: bool = False
    suppress: bool = False


def judge(  # noqa: PLR0911 -- one for each outcome
    outcome: RecipientOutcome, contact_id: str, tries: int, now: int, pace: Pace, rng: Random
) -> Verdict:
    """`tries`: charged attempts before this one."""
    evidence = outcome.evidence
    code = evidence.code or ("" if evidence.status is None else str(evidence.status))
    waiting = Settled(contact_id=contact_id, state=RecipientState.PENDING, code=code, charged=False)

    def final(state: RecipientState, detail: str = "") -> Settled:
        return Settled(contact_id=contact_id, state=state, code=code, detail=detail)

    match outcome:
        case Delivered() | Accepted():
            return Verdict(final(RecipientState.ACCEPTED))
        case Unreachable():
            return Verdict(
                final(RecipientState.REFUSED, outcome.detail), suppress=outcome.permanent
            )
        case Rejected():
            return Verdict(final(RecipientState.REFUSED, outcome.problem.detail))
        case Unconfirmed():
            return Verdict(_doubted(waiting, outcome, tries, now, pace, rng))
        case Unavailable():
            answered = evidence.status is not None
            again = now + (backoff(tries + 1, pace.retries, rng) if answered else 0)
            if outcome.until is not None:
                again = max(again, micros(outcome.until))
            return Verdict(
                replace(waiting, next_at=again, detail=outcome.reason, charged=answered),
                broken=not answered,
            )
        case Throttled(theirs=True):
            again = now + backoff(tries + 1, pace.retries, rng)
            return Verdict(replace(waiting, next_at=again, detail=outcome.reason, charged=True))
        case Throttled() | AccessLost() | Gone():
            return Verdict(waiting, stop=outcome)
        case _:
            assert_never(outcome)


def _doubted(
    waiting: Settled, outcome: Unconfirmed, tries: int, now: int, pace: Pace, rng: Random
) -> Settled:
    told = replace(waiting, detail=outcome.detail, charged=True)
    if outcome.presumed_sent:
        return replace(told, state=RecipientState.ACCEPTED)
    if pace.resend_uncertain:
        return replace(told, next_at=now + backoff(tries + 1, pace.retries, rng))
    return replace(told, state=RecipientState.UNCERTAIN)


def retraced(trace: Trace, contact_ids: Sequence[str], *, resend: bool) -> list[Settled]:
    """What the logbook of a run that is over says of the contacts it had claimed: answered, in
    doubt, or certainly not begun. `resend`: doubt means to write again."""
    answers = {who: (RecipientState(state), code) for who, state, code in trace.answers}
    doubt = RecipientState.PENDING if resend else RecipientState.UNCERTAIN
    found = []
    for who in contact_ids:
        if who in trace.left or not trace.proves:
            found.append(Settled(contact_id=who, state=doubt, detail=_DOUBT))
        else:
            state, code = answers.get(who, (RecipientState.PENDING, ""))
            found.append(Settled(contact_id=who, state=state, code=code))
    return found


def too_many_refusals(last: Rejected, *, reached: int) -> Outcome:
    """Our content or our standing is refused by everyone: a person has to look; before anyone
    was reached, plan B can still carry it."""
    if not reached:
        return last
    return AccessLost(
        reason=AccessReason.POLICY,
        detail=f"one mail after the other is refused: {last.problem.detail}",
        remedy="Read what the servers say, then resume or cancel the rest.",
        evidence=last.evidence,
    )


def too_many_losses(last: Unconfirmed) -> Outcome:
    """Each further mail would be one more that nobody can tell was received."""
    return AccessLost(
        reason=AccessReason.MISCONFIGURED,
        detail=f"one answer after the other is lost: {last.detail}",
        remedy="Check the relay and the way to it, then resume.",
        evidence=last.evidence,
    )


def conclusion(counts: dict[RecipientState, int], delivery_id: str) -> Outcome:
    """The outcome of a broadcast that is accounted for to the last recipient."""
    accepted = counts.get(RecipientState.ACCEPTED, 0)
    uncertain = counts.get(RecipientState.UNCERTAIN, 0)
    elsewhere = counts.get(RecipientState.REROUTED, 0) + counts.get(RecipientState.COVERED, 0)
    said = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
    if accepted or uncertain or elsewhere:
        return Delivered(remote_id=delivery_id, note=f"{sum(counts.values())} selected: {said}")
    if not counts:
        return Rejected(
            problem=Problem(
                code="no-recipients",
                detail="nobody can be written to here",
                remedy="Add readers, or publish elsewhere.",
            )
        )
    return Rejected(
        problem=Problem(code="nobody-reached", detail=f"{sum(counts.values())} selected: {said}")
    )
