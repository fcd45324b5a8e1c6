"""Close the claims of a worker that was killed on this machine, by its journal."""

from __future__ import annotations

import structlog

from channels.outcome import Delivered
from scheduler import metrics
from scheduler.changes import Change, columns, event, outcome_name
from scheduler.deliveries import Delivery, State
from scheduler.journal import Answered, Left
from scheduler.store import rescue
from scheduler.store.completions import write_attempts, write_changes
from scheduler.store.db import Database
from scheduler.store.events import append

log = structlog.get_logger()

_HOW = "delivered by a worker that stopped before it could say so"


async def take_over(database: Database, left: Left, *, now: int, first_look: int) -> None:
    """What was delivered is written down; what had left is in doubt; the rest was not sent.

    `first_look`: when what is in doubt is looked for (microseconds since 1970).
    """
    held = await rescue.claimed_by(database, left.worker)
    known = [
        (delivery, left.delivered[delivery.id, delivery.attempt])
        for delivery in held
        if (delivery.id, delivery.attempt) in left.delivered
    ]
    async with database.write() as connection:
        applied = await write_changes(
            connection, [_change(delivery, said, now) for delivery, said in known], now
        )
        known = [(delivery, said) for delivery, said in known if delivery.id in applied]
        await write_attempts(connection, [_attempt(left, *one) for one in known])
        actor = f"worker:{left.worker}"
        lines = [
            event("delivery.delivered", delivery, now, actor, {"url": said.url, "cause": _HOW})
            for delivery, said in known
        ]
        await append(connection, lines)
    back, unsure = await rescue.settle_left(
        database, left.worker, left.sent, now=now, first_look=first_look
    )
    for to, count in (
        ("delivered", len(known)), ("scheduled", len(back)), ("unconfirmed", len(unsure)),
    ):  # fmt: skip
        metrics.RESCUED.labels(to).inc(count)
    log.warning(
        "took-over", worker=left.worker, delivered=len(known), back=len(back), in_doubt=len(unsure)
    )


def _change(delivery: Delivery, said: Answered, now: int) -> Change:
    new = columns(
        delivery, State.DELIVERED, now, tries=delivery.tries + 1,
        first_sent_at=delivery.first_sent_at or said.started_at, cause=said.note,
        remote_id=said.remote_id, url=said.url,
    )  # fmt: skip
    return Change(delivery, delivery.token, new)


def _attempt(left: Left, delivery: Delivery, said: Answered) -> dict[str, object]:
    return {
        "delivery_id": delivery.id,
        "number": delivery.attempt,
        "token": delivery.token,
        "worker": left.worker,
        "action": "send",
        "started_at": said.started_at,
        "finished_at": said.finished_at,
        "late_us": said.started_at - delivery.due_at,
        "outcome": outcome_name(Delivered(remote_id=said.remote_id)),
        "decision": "done",
        "detail": _HOW,
        "evidence": {},
        "stale": False,
    }
