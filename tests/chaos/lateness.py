"""How late a run's posts left: the first request for each, since it was due or, where it was
accepted later than that, since it was accepted. What was sent again counts by its first request;
what waited while its platform asked to slow down, for a minute at least, is counted apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import exists, func, select

from scheduler.store.db import Database
from scheduler.store.tables import attempts, deliveries, events

LATE = 1_000_000


@dataclass(frozen=True)
class Lateness:
    """Microseconds, sorted. `put_off`: of those that waited at their platform's wish."""

    each: Sequence[int]
    put_off: Sequence[int]

    def figures(self) -> dict[str, float]:
        """`late` counts those of more than a second."""
        return {
            "late": sum(one > LATE for one in self.each),
            "p50_ms": _share(self.each, 0.5),
            "p99_ms": _share(self.each, 0.99),
            "latest_ms": _share(self.each, 1),
            "put_off": len(self.put_off),
            "put_off_latest_ms": _share(self.put_off, 1),
        }


def _share(sorted_: Sequence[int], share: float) -> float:
    place = min(len(sorted_) - 1, int(len(sorted_) * share))
    return round(sorted_[place] / 1000, 1) if sorted_ else 0.0


async def lateness(database: Database) -> Lateness:
    put_off = exists().where(
        events.c.delivery_id == deliveries.c.id, events.c.kind == "delivery.deferred"
    )
    statement = (
        select(
            func.min(attempts.c.started_at),
            deliveries.c.planned_at,
            deliveries.c.created_at,
            put_off,
        )
        .join(deliveries, deliveries.c.id == attempts.c.delivery_id)
        .where(attempts.c.action == "send")
        .group_by(deliveries.c.id, deliveries.c.planned_at, deliveries.c.created_at)
    )
    late: dict[bool, list[int]] = {False: [], True: []}
    async with database.read() as connection:
        for begun, planned, made, waited in (await connection.execute(statement)).all():
            late[bool(waited)].append(begun - max(planned, made))
    return Lateness(sorted(late[False]), sorted(late[True]))
