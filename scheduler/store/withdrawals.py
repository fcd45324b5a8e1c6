"""Which deliveries were taken down."""

from __future__ import annotations

from sqlalchemy import update

from scheduler.deliveries import State
from scheduler.store.db import Connection
from scheduler.store.tables import deliveries


async def mark(connection: Connection, delivery_id: str, now: int) -> bool:
    """Note that a delivery was taken down; False when that was known already. Its state stays:
    what was delivered is never sent again."""
    statement = (
        update(deliveries)
        .where(
            deliveries.c.id == delivery_id,
            deliveries.c.state == State.DELIVERED,
            deliveries.c.withdrawn_at.is_(None),
        )
        .values(withdrawn_at=now, updated_at=now)
    )
    return bool((await connection.execute(statement)).rowcount)
