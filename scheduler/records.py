"""What accepting a post writes, and what its author is answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import uuid_utils

from scheduler.answers import AcceptedAnswer, ProblemAnswer, post_answer, problem_answer
from scheduler.deliveries import State
from scheduler.plan import Plan
from scheduler.store import events

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """Everything that one accepted post writes."""

    post: Row
    deliveries: Sequence[Row]
    event: events.Event
    answer: AcceptedAnswer


def prepared(row: Row, plan: Plan, trace: str | None = None) -> Prepared:
    """What accepting a post writes. `row`: a full row of posts; `trace`: of the request."""
    legs = [
        {
            "id": str(uuid_utils.uuid7()),
            "post_id": row["id"],
            "account_id": planned.member.id,
            "part": planned.part.value,
            "state": State.SCHEDULED.value,
            "due_at": row["due_at"],
            "planned_at": row["due_at"],
            "deadline_at": row["deadline_at"],
            "trace": trace,
            "created_at": row["created_at"],
            "updated_at": row["updated_at"],
        }
        for planned in plan.deliveries
    ]
    shown = [
        {
            **leg,
            "account_name": planned.member.account.name,
            "channel": planned.member.channel.channel,
        }
        for leg, planned in zip(legs, plan.deliveries, strict=True)
    ]
    answer: AcceptedAnswer = {**post_answer(row, shown), "problems": problems_of(plan)}
    data = {"title": row["title"], "deliveries": len(legs), "due_at": row["due_at"]}
    event = events.line(
        "post.accepted", row["created_at"], row["created_by"], data, post_id=row["id"]
    )
    return Prepared(post=row, deliveries=legs, event=event, answer=answer)


def problems_of(plan: Plan) -> list[ProblemAnswer]:
    """What the author should know of a plan."""
    return [
        problem_answer(found.member.id, found.member.account.name, found.problem)
        for found in plan.problems
    ]
