"""Writing what was decided, in batches, fenced by token."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncConnection

from scheduler.changes import Change, Columns
from scheduler.store.bulk import FencedUpdates, Inserts, Row, columns_of
from scheduler.store.tables import attempts, deliveries

NEW = tuple(Columns.__annotations__)
fences = FencedUpdates(
    deliveries, (*NEW, "updated_at"), fixed="token = NULL, worker = NULL, lease_until = NULL"
)
ATTEMPT = (
    "delivery_id", "number", "token", "worker", "action", "started_at", "finished_at", "late_us",
    "outcome", "decision", "detail", "evidence", "stale",
)  # fmt: skip
inserts = Inserts(attempts, ATTEMPT)


async def write_changes(
    connection: AsyncConnection, changes: Sequence[Change], now: int
) -> set[str]:
    """Apply the changes whose token still holds; the ids of those that were applied."""
    return await fences(connection, [fenced(change, now) for change in changes])


def fenced(change: Change, now: int) -> Row:
    """The change as a row of `fences`."""
    return (change.delivery.id, change.token, *(change.columns[name] for name in NEW), now)  # type: ignore[literal-required]


async def write_attempts(connection: AsyncConnection, rows: Sequence[dict[str, Any]]) -> None:
    await inserts(connection, columns_of(rows, ATTEMPT))


async def mark_sending(
    connection: AsyncConnection, delivery_id: str, token: str, *, now: int
) -> bool:
    """Armed to sending, for a broadcast's long run; False when the lease was lost."""
    result = await connection.execute(
        update(deliveries)
        .where(
            deliveries.c.id == delivery_id,
            deliveries.c.token == token,
            deliveries.c.state == "armed",
        )
        .values(state="sending", updated_at=now)
    )
    return result.rowcount == 1


async def give_back(connection: AsyncConnection, delivery_id: str, token: str, *, now: int) -> None:
    """A broadcast that was cut off, begun or not, is everyone's again: it knows its recipients one
    by one."""
    await connection.execute(
        update(deliveries)
        .where(
            deliveries.c.id == delivery_id,
            deliveries.c.token == token,
            deliveries.c.state.in_(("armed", "sending")),
        )
        .values(state="scheduled", token=None, worker=None, lease_until=None, updated_at=now)
    )
