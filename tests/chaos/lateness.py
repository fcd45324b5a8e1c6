"""How late a run's posts left: the first request for each, since it was due or, where it was
accepted later than that, since it was accepted. What was sent again counts by its first request."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import func, select

from scheduler.store.db import Database
from scheduler.store.tables import attempts, deliveries

LATE = 1_000_000


@dataclass(frozen=True)
class Lateness:
    """Microseconds, sorted."""

    each: Sequence[int]

    def figures(self) -> dict[str, float]:
        """`late` counts those of more than a second."""
        return {
            "late": sum(one > LATE for one in self.each),
            "p50_ms": self._share(0.5),
            "p99_ms": self._share(0.99),
            "latest_ms": self._share(1),
        }

    def _share(self, share: float) -> float:
        place = min(len(self.each) - 1, int(len(self.each) * share))
        return round(self.each[place] / 1000, 1) if self.each else 0.0


async def lateness(database: Database) -> Lateness:
    statement = (
        select(func.min(attempts.c.started_at), deliveries.c.planned_at, deliveries.c.created_at)
        .join(deliveries, deliveries.c.id == attempts.c.delivery_id)
        .where(attempts.c.action == "send")
        .group_by(deliveries.c.id, deliveries.c.planned_at, deliveries.c.created_at)
    )
    async with database.read() as connection:
        rows = (await connection.execute(statement)).all()
    return Lateness(sorted(begun - max(planned, made) for begun, planned, made in rows))
