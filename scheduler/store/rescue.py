"""Taking over from workers that fell silent: what goes back to everyone, and what is in doubt."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import ColumnElement, case, delete, func, or_, select, update

from scheduler.deliveries import Delivery, State
from scheduler.store.claims import CHUNK, COLUMNS, living, lock, to_delivery
from scheduler.store.db import Database
from scheduler.store.states import CLAIMED
from scheduler.store.tables import deliveries, workers


async def rescue(
    database: Database, *, now: int, dead_before: int, first_look: int
) -> tuple[list[str], list[str]]:
    """Take over from workers that fell silent: (given back, in doubt).

    What was not yet due when its worker is found dead goes back at once: the owner, should it
    only have been asleep, reads its token again before it sends. What was due waits for the end
    of its lease and is then looked for on the platform before anything else. So does what came
    due by the worker's own clock: when clocks were put back, it may have been sent in what is
    now the future.
    """
    silence = now - dead_before
    alive = living(dead_before, now + silence)
    was_due = (
        select(workers.c.id)
        .where(
            workers.c.id == deliveries.c.worker,
            workers.c.heartbeat_at >= deliveries.c.due_at - silence,
        )
        .exists()
    )
    orphaned = or_(deliveries.c.worker.is_(None), deliveries.c.worker.not_in(alive))
    cleared = {"token": None, "worker": None, "lease_until": None, "updated_at": now}
    unsent = (deliveries.c.due_at > now) & ~was_due
    early = (deliveries.c.state == State.ARMED) & unsent & orphaned
    broadcast, expired = deliveries.c.state == State.SENDING, deliveries.c.lease_until < now
    async with database.read() as connection:  # mostly there is nothing to write
        some = select(deliveries.c.id).where(CLAIMED, or_(early, expired)).limit(1)
        if (await connection.execute(some)).first() is None:
            return [], []
    async with database.write() as connection:
        back = await connection.execute(
            update(deliveries)
            # A broadcast knows its own recipients one by one: it simply goes on.
            .where(*_free(database, CLAIMED, or_(early, broadcast & expired)))
            .values(state=State.SCHEDULED, **cleared)
            .returning(deliveries.c.id)
        )
        doubtful = await connection.execute(
            update(deliveries)
            .where(*_free(database, CLAIMED, expired))
            .values(
                state=State.UNCONFIRMED,
                look_at=first_look,
                looks=0,
                **_doubt(now),
                cause="its worker stopped in the middle of the send",
                **cleared,
            )
            .returning(deliveries.c.id)
        )
        return [row[0] for row in back], [row[0] for row in doubtful]


def _doubt(now: int) -> dict[str, Any]:
    """Nobody wrote down when it left: between the moment it was due and this one. What was late
    left long after it was due, and a look must not take it for old."""
    due_at = deliveries.c.due_at
    return {
        "first_sent_at": func.coalesce(deliveries.c.first_sent_at, due_at),
        "due_at": case((due_at < now, now), else_=due_at),
    }


async def claimed_by(database: Database, worker: str) -> list[Delivery]:
    """What a worker had armed when it stopped."""
    statement = select(*COLUMNS).where(
        CLAIMED, deliveries.c.worker == worker, deliveries.c.state == State.ARMED
    )
    async with database.read() as connection:
        rows = (await connection.execute(statement)).mappings().all()
    return [to_delivery(row) for row in rows]


async def settle_left(
    database: Database, worker: str, sent: Iterable[tuple[str, int]], *, now: int, first_look: int
) -> tuple[list[str], list[str]]:
    """Close a dead worker's claims by its journal: (given back, in doubt). Only what the journal
    names may have left."""
    doubtful = set(sent)
    held = await claimed_by(database, worker)
    unsure = [d.id for d in held if (d.id, d.attempt) in doubtful]
    back = [d.id for d in held if (d.id, d.attempt) not in doubtful]
    cleared = {"token": None, "worker": None, "lease_until": None, "updated_at": now}
    async with database.write() as connection:
        await lock(database, connection, CLAIMED & (deliveries.c.worker == worker))
        for start in range(0, len(back), CHUNK):
            await connection.execute(
                update(deliveries)
                .where(deliveries.c.id.in_(back[start : start + CHUNK]))
                .where(deliveries.c.worker == worker, deliveries.c.state == State.ARMED)
                .values(state=State.SCHEDULED, **cleared)
            )
        for start in range(0, len(unsure), CHUNK):
            await connection.execute(
                update(deliveries)
                .where(deliveries.c.id.in_(unsure[start : start + CHUNK]))
                .where(deliveries.c.worker == worker, deliveries.c.state == State.ARMED)
                .values(
                    state=State.UNCONFIRMED,
                    look_at=first_look,
                    looks=0,
                    **_doubt(now),
                    cause="its worker stopped in the middle of the send",
                    **cleared,
                )
            )
        await connection.execute(
            update(deliveries)
            .where(CLAIMED, deliveries.c.worker == worker, deliveries.c.state == State.SENDING)
            .values(state=State.SCHEDULED, **cleared)
        )
        await connection.execute(delete(workers).where(workers.c.id == worker))
    return back, unsure


def _free(database: Database, *conditions: ColumnElement[bool]) -> Sequence[ColumnElement[bool]]:
    """These conditions without the rows that somebody writes just now: their turn is the next."""
    if not database.is_postgresql:
        return conditions
    free = select(deliveries.c.id).where(*conditions)
    return [deliveries.c.id.in_(free.with_for_update(skip_locked=True, key_share=True))]
