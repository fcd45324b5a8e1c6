"""What a person's decisions read and write: deliveries locked while they are decided upon."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import RowMapping, select, update

from scheduler.deliveries import Delivery, State
from scheduler.store.claims import to_delivery
from scheduler.store.db import Connection
from scheduler.store.tables import accounts, deliveries, posts


async def locked(connection: Connection, delivery_id: str) -> Delivery | None:
    """The delivery, which nobody else changes until this transaction ends."""
    statement = select(deliveries).where(deliveries.c.id == delivery_id).with_for_update()
    row = (await connection.execute(statement)).mappings().one_or_none()
    return None if row is None else to_delivery(row)


async def locked_of_post(connection: Connection, post_id: str) -> list[Delivery]:
    """All deliveries of a post, locked as `locked` does, in a fixed order."""
    statement = (
        select(deliveries)
        .where(deliveries.c.post_id == post_id)
        .order_by(deliveries.c.id)
        .with_for_update()
    )
    return [to_delivery(row) for row in (await connection.execute(statement)).mappings()]


async def locked_post(connection: Connection, post_id: str) -> RowMapping | None:
    """The post's row, locked."""
    statement = select(posts).where(posts.c.id == post_id).with_for_update()
    return (await connection.execute(statement)).mappings().one_or_none()


async def update_post(connection: Connection, post_id: str, values: Mapping[str, Any]) -> None:
    await connection.execute(update(posts).where(posts.c.id == post_id).values(**values))


async def reschedule(
    connection: Connection,
    delivery_id: str,
    *,
    due_at: int,
    deadline_at: int | None,
    now: int,
    fresh: bool = False,
) -> None:
    """Back to scheduled, taken from whoever armed it. `fresh`: with a new budget of tries."""
    values: dict[str, Any] = {
        "state": State.SCHEDULED,
        "due_at": due_at,
        "planned_at": due_at,
        "deadline_at": deadline_at,
        "token": None,
        "worker": None,
        "lease_until": None,
        "look_at": None,
        "hold_reason": None,
        "finished_at": None,
        "updated_at": now,
    }
    if fresh:
        values |= {"tries": 0, "looks": 0, "cause": ""}
    await connection.execute(
        update(deliveries).where(deliveries.c.id == delivery_id).values(**values)
    )


async def hand_back(connection: Connection, delivery_id: str, *, now: int) -> None:
    """Take an armed delivery from its worker, so that it is armed again with what is new."""
    await connection.execute(
        update(deliveries)
        .where(deliveries.c.id == delivery_id)
        .values(state=State.SCHEDULED, token=None, worker=None, lease_until=None, updated_at=now)
    )


async def is_connected(connection: Connection, account_id: str) -> bool:
    """Whether this account exists and is not archived, nor will be before the transaction ends."""
    statement = select(accounts.c.id).where(
        accounts.c.id == account_id, accounts.c.archived_at.is_(None)
    )
    held = statement.with_for_update(read=True, key_share=True)
    return (await connection.execute(held)).first() is not None
