"""What the API says of posts and deliveries: typed dicts, built once and serialised as they are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from typing_extensions import TypedDict

from channels.outcome import Problem
from channels.translations import in_language
from scheduler.clock import moment
from scheduler.times import zone_named
from scheduler.withdrawal import NOTHING_STANDS, Fate, Withdrawal

Row = Mapping[Any, Any]  # a row of SQLAlchemy, or a dict with its columns


class ProblemAnswer(TypedDict):
    """What a channel cannot carry (`error`), or the author should know (`warning`)."""

    account_id: str
    account: str
    code: str
    severity: str
    field: str
    detail: str
    remedy: str


class AttemptAnswer(TypedDict):
    """One try. `late_ms`: when the request reached the platform, minus the due time."""

    number: int
    action: str
    started_at: str
    finished_at: str
    late_ms: float | None
    outcome: str
    decision: str
    detail: str
    evidence: Any
    stale: bool


class DeliveryAnswer(TypedDict):
    """One post to one account. Times are RFC 3339, UTC. `withdrawn_at`: when it was taken down;
    its state stays `delivered`, so that it is never sent again."""

    id: str
    post_id: str
    account_id: str
    account: str
    channel: str
    part: str
    state: str
    due_at: str
    planned_at: str
    deadline: str | None
    attempt: int
    tries: int
    hold_reason: str | None
    cause: str
    parent_id: str | None
    origin_id: str | None
    remote_id: str | None
    url: str | None
    finished_at: str | None
    withdrawn_at: str | None


class DeliveryDetail(DeliveryAnswer):
    """A delivery with everything that was tried. `recipients`: of one that goes to people one by
    one, how many are in each state (`unreached`: cannot be written to there; `rerouted`: gets it
    at another address; `covered`: has it by another delivery)."""

    attempts: list[AttemptAnswer]
    recipients: dict[str, int]


class PostAnswer(TypedDict):
    """A post. `at` is the local time of its zone, with the offset."""

    id: str
    title: str
    kind: str
    content: dict[str, Any]
    at: str
    zone: str
    late_policy: str
    deadline: str | None
    version: int
    campaign_id: str | None
    created_by: str
    created_at: str
    updated_at: str
    cancelled_at: str | None
    deliveries: list[DeliveryAnswer]


class AcceptedAnswer(PostAnswer):
    """A post just accepted, with what its author should know."""

    problems: list[ProblemAnswer]


class PostDetail(PostAnswer):
    """A post with the attempts of each delivery, by delivery id."""

    attempts: dict[str, list[AttemptAnswer]]


class WithdrawalAnswer(TypedDict):
    """What taking one delivery down came to.

    `fate`: `withdrawn`, `already` (it was). Nobody was asked: `waiting`, `unsettled` (may be
    there), `never` (was not published there), `impossible` (its channel cannot), `out-of-reach`.
    What the platform answered: `throttled`, `unavailable`, `access-lost`, `gone`, `refused`,
    `unconfirmed` (nobody knows). Of an edit: `edited`, `impossible` (keeps the old words).
    `page-only`: of a newsletter, whose page in the archive was taken down or corrected while the
    mails stay as they are."""

    delivery_id: str
    account_id: str
    account: str
    channel: str
    part: str
    fate: str
    detail: str
    remedy: str
    url: str | None
    withdrawn_at: str | None


class EditedAnswer(TypedDict):
    """`complete`: nobody reads the old words any more, but in what was taken down. `deliveries`:
    those whose words were to change."""

    post_id: str
    complete: bool
    deliveries: list[WithdrawalAnswer]


class WithdrawnAnswer(TypedDict):
    """`complete`: nothing of the post that was published stands any more."""

    post_id: str
    complete: bool
    deliveries: list[WithdrawalAnswer]


def stamp(value: int) -> str:
    """RFC 3339, UTC, of microseconds since 1970."""
    return moment(value).isoformat().replace("+00:00", "Z")


def stamp_or_none(value: int | None) -> str | None:
    return None if value is None else stamp(value)


def delivery_answer(row: Row) -> DeliveryAnswer:
    """`row`: a row of deliveries with `account_name` and `channel`; absent columns are unset."""
    get = row.get
    return {
        "id": row["id"],
        "post_id": row["post_id"],
        "account_id": row["account_id"],
        "account": row["account_name"],
        "channel": row["channel"],
        "part": row["part"],
        "state": row["state"],
        "due_at": stamp(row["due_at"]),
        "planned_at": stamp(row["planned_at"]),
        "deadline": stamp_or_none(get("deadline_at")),
        "attempt": get("attempt", 0),
        "tries": get("tries", 0),
        "hold_reason": get("hold_reason"),
        "cause": get("cause", ""),
        "parent_id": get("parent_id"),
        "origin_id": get("origin_id"),
        "remote_id": get("remote_id"),
        "url": get("url"),
        "finished_at": stamp_or_none(get("finished_at")),
        "withdrawn_at": stamp_or_none(get("withdrawn_at")),
    }


def post_answer(row: Row, deliveries: Iterable[Row]) -> PostAnswer:
    """`row`: a full row of posts; `deliveries` as for `delivery_answer`."""
    at = moment(row["due_at"]).astimezone(zone_named(row["zone"]))
    return {
        "id": row["id"],
        "title": row["title"],
        "kind": row["kind"],
        "content": row["content"],
        "at": at.isoformat(),
        "zone": row["zone"],
        "late_policy": row["late_policy"],
        "deadline": stamp_or_none(row["deadline_at"]),
        "version": row["version"],
        "campaign_id": row["campaign_id"],
        "created_by": row["created_by"],
        "created_at": stamp(row["created_at"]),
        "updated_at": stamp(row["updated_at"]),
        "cancelled_at": stamp_or_none(row["cancelled_at"]),
        "deliveries": [delivery_answer(delivery) for delivery in deliveries],
    }


def attempt_answer(row: Row) -> AttemptAnswer:
    return {
        "number": row["number"],
        "action": row["action"],
        "started_at": stamp(row["started_at"]),
        "finished_at": stamp(row["finished_at"]),
        "late_ms": None if row["late_us"] is None else row["late_us"] / 1000,
        "outcome": row["outcome"],
        "decision": row["decision"],
        "detail": row["detail"],
        "evidence": row["evidence"],
        "stale": row["stale"],
    }


def attempts_by_delivery(rows: Sequence[Row]) -> dict[str, list[AttemptAnswer]]:
    found: dict[str, list[AttemptAnswer]] = {}
    for row in rows:
        found.setdefault(row["delivery_id"], []).append(attempt_answer(row))
    return found


def translated(problems: Iterable[ProblemAnswer], language: str) -> list[ProblemAnswer]:
    """The problems, their words in this language."""
    return [
        {
            **one,
            "detail": in_language(one["detail"], language),
            "remedy": in_language(one["remedy"], language),
        }
        for one in problems
    ]


def withdrawn_answer(post_id: str, done: Sequence[Withdrawal], language: str) -> WithdrawnAnswer:
    return {
        "post_id": post_id,
        "complete": all(one.fate in NOTHING_STANDS for one in done),
        "deliveries": _became(done, language),
    }


def edited_answer(post_id: str, done: Sequence[Withdrawal], language: str) -> EditedAnswer:
    return {
        "post_id": post_id,
        "complete": all(one.fate in {Fate.EDITED, Fate.WAITING} for one in done),
        "deliveries": _became(done, language),
    }


def _became(done: Sequence[Withdrawal], language: str) -> list[WithdrawalAnswer]:
    return [
        {
            "delivery_id": one.delivery.id,
            "account_id": one.delivery.account_id,
            "account": one.account,
            "channel": one.channel,
            "part": one.delivery.part.value,
            "fate": one.fate.value,
            "detail": in_language(one.detail, language),
            "remedy": in_language(one.remedy, language),
            "url": one.delivery.url,
            "withdrawn_at": stamp_or_none(one.withdrawn_at),
        }
        for one in done
    ]


def problem_answer(account_id: str, account: str, problem: Problem) -> ProblemAnswer:
    return {
        "account_id": account_id,
        "account": account,
        "code": problem.code,
        "severity": problem.severity.value,
        "field": problem.field,
        "detail": problem.detail,
        "remedy": problem.remedy,
    }
