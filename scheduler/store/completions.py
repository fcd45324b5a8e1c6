"""Writing what was decided, in batches, fenced by token."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import bindparam, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from scheduler.changes import Change
from scheduler.store.claims import CHUNK
from scheduler.store.tables import attempts, deliveries

_COMPLETE = (
    update(deliveries)
    .where(deliveries.c.id == bindparam("of"))
    .values(
        token=None,
        worker=None,
        lease_until=None,
        updated_at=bindparam("now"),
        **{
            name: bindparam(f"new_{name}")
            for name in (
                "state",
                "due_at",
                "planned_at",
                "tries",
                "first_sent_at",
                "look_at",
                "looks",
                "hold_reason",
                "cause",
                "remote_id",
                "url",
                "finished_at",
            )
        },
    )
)


async def ours(connection: AsyncConnection, fences: Sequence[tuple[str, str | None]]) -> set[str]:
    """Of (delivery, token) pairs, the deliveries that still have that token; their rows stay
    locked until the transaction ends."""
    wanted = dict(fences)
    ids = list(wanted)
    held: set[str] = set()
    for start in range(0, len(ids), CHUNK):
        rows = await connection.execute(
            select(deliveries.c.id, deliveries.c.token)
            .where(deliveries.c.id.in_(ids[start : start + CHUNK]))
            .with_for_update()
        )
        held.update(row[0] for row in rows if row[1] == wanted[row[0]])
    return held


async def write_changes(
    connection: AsyncConnection, changes: Sequence[Change], now: int
) -> set[str]:
    """Apply the changes whose token still holds; the ids of those that were applied."""
    held = await ours(connection, [(change.delivery.id, change.token) for change in changes])
    rows = [
        {
            "of": change.delivery.id,
            "now": now,
            **{f"new_{name}": value for name, value in change.columns.items()},
        }
        for change in changes
        if change.delivery.id in held
    ]
    if rows:
        await connection.execute(_COMPLETE, rows)
    return held


async def write_attempts(connection: AsyncConnection, rows: Sequence[dict[str, Any]]) -> None:
    if rows:
        await connection.execute(insert(attempts), list(rows))


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
