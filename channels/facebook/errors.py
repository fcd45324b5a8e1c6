"""What a Graph API error means: code and subcode to an outcome. Pure.

Facebook answers most throttles with HTTP 400, so the status says nothing; the wording changes and
a trace id may contain any digits, so the text says nothing either. Only `error.code` and
`error.error_subcode` decide, by the rows of `channels.facebook.table`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, auto
from typing import Any

from channels.exchange import redacted
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


@dataclass(frozen=True, slots=True)
class GraphError:
    """The `error` object of an answer. Any field but message, type and code may be missing."""

    code: int
    subcode: int = 0
    message: str = ""
    title: str = ""
    text: str = ""
    trace: str = ""

    @property
    def label(self) -> str:
        return f"{self.code}/{self.subcode}" if self.subcode else str(self.code)

    @property
    def words(self) -> str:
        """The platform's own words, those meant for a person first."""
        spoken = ": ".join(part for part in (self.title, self.text) if part)
        return (spoken or self.message)[:300]


def error_in(data: Any, secrets: tuple[str, ...] = ()) -> GraphError | None:
    """The error of a parsed answer, None when there is none. A refusal may quote the credential
    that it refuses: `secrets` are cut out of its words."""
    raw = data.get("error") if isinstance(data, dict) else None
    if not isinstance(raw, dict):
        return None
    return GraphError(
        code=_number(raw.get("code")),
        subcode=_number(raw.get("error_subcode")),
        message=redacted(str(raw.get("message") or ""), secrets),
        title=redacted(str(raw.get("error_user_title") or ""), secrets),
        text=redacted(str(raw.get("error_user_msg") or ""), secrets),
        trace=str(raw.get("fbtrace_id") or ""),
    )


def _number(value: Any) -> int:
    return value if isinstance(value, int) else 0


class Verdict(Enum):
    """The class of an error. `DOUBTFUL` is harmless on a read, and on a write may hide a
    success; `DUPLICATE` says that the platform already has it."""

    DOUBTFUL = auto()
    THROTTLED = auto()
    ACCESS = auto()
    GONE = auto()
    REJECTED = auto()
    DUPLICATE = auto()
    UNREACHABLE = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruling:
    """One row of the table.

    `pause`: how long at least, when the platform gives no time. `human`: only a person can lift
    it. `permanent`, `presumed_sent`: as in the outcomes of these names. `code` and `field` are
    the `Problem`'s.
    """

    verdict: Verdict
    detail: str = ""
    remedy: str = ""
    reason: AccessReason = AccessReason.PERMISSION
    pause: timedelta | None = None
    human: bool = False
    permanent: bool = False
    presumed_sent: bool = False
    code: str = "refused"
    field: str = ""


Table = Mapping[tuple[int, int | None], Ruling]


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """What an error's outcome depends on beside the error. `writing`: the call would have made
    something visible. `regain_at` (UTC): when the platform's headers say it listens again."""

    writing: bool
    now: datetime
    regain_at: datetime | None
    evidence: Evidence


def outcome(error: GraphError, rule: Ruling, given: Circumstances) -> Outcome:
    """The outcome of a failed call. A verdict about one addressee is the messenger's to read."""
    return _OUTCOMES[rule.verdict](_said(rule, error), rule, given)


def _said(rule: Ruling, error: GraphError) -> str:
    return f"{rule.detail} ({error.label}): {error.words}" if error.words else rule.detail


def _doubtful(said: str, rule: Ruling, given: Circumstances) -> Outcome:
    if given.writing:
        return Unconfirmed(detail=said, presumed_sent=rule.presumed_sent, evidence=given.evidence)
    return Unavailable(reason=said, evidence=given.evidence)


def _throttled(said: str, rule: Ruling, given: Circumstances) -> Outcome:
    until = given.regain_at
    if rule.pause is not None:
        least = given.now + rule.pause
        until = least if until is None else max(until, least)
    return Throttled(until=until, reason=said, human=rule.human, evidence=given.evidence)


def _access(said: str, rule: Ruling, given: Circumstances) -> Outcome:
    return AccessLost(reason=rule.reason, detail=said, remedy=rule.remedy, evidence=given.evidence)


def _gone(said: str, _rule: Ruling, given: Circumstances) -> Outcome:
    return Gone(detail=said, evidence=given.evidence)


def _rejected(said: str, rule: Ruling, given: Circumstances) -> Outcome:
    problem = Problem(code=rule.code, detail=said, field=rule.field, remedy=rule.remedy)
    return Rejected(problem=problem, evidence=given.evidence)


_OUTCOMES: Mapping[Verdict, Callable[[str, Ruling, Circumstances], Outcome]] = {
    Verdict.DOUBTFUL: _doubtful,
    Verdict.THROTTLED: _throttled,
    Verdict.ACCESS: _access,
    Verdict.GONE: _gone,
    Verdict.REJECTED: _rejected,
    Verdict.DUPLICATE: _rejected,
    Verdict.UNREACHABLE: _rejected,
}
