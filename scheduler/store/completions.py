"""Writing what was decided, in batches, fenced by token."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncConnection

from scheduler.changes import Change, Columns
from scheduler.store.bulk import FencedUpdates, Inserts, columns_of
from scheduler.store.tables import attempts, deliveries

_NEW = tuple(Columns.__annotations__)
_complete = FencedUpdates(
    deliveries, (*_NEW, "updated_at"), fixed="token = NULL, worker = NULL, lease_until = NULL"
)
_ATTEMPT = (
    "delivery_id", "number", "token", "worker", "action", "started_at", "finished_at", "late_us",
    "outcome", "decision", "detail", "evidence", "stale",
)  # fmt: skip
_insert_attempts = Inserts(attempts, _ATTEMPT)


async def write_changes(
    connection: AsyncConnection, changes: Sequence[Change], now: int
) -> set[str]:
    """Apply the changes whose token still holds; the ids of those that were applied."""
    return await _complete(
        connection,
        [
            (change.delivery.id, change.token, *(change.columns[name] for name in _NEW), now)  # type: ignore[literal-required]
            for change in changes
        ],
    )


async def write_attempts(connection: AsyncConnection, rows: Sequence[dict[str, Any]]) -> None:
    await _insert_attempts(connection, columns_of(rows, _ATTEMPT))


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
