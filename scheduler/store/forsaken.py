"""Who still waits for a mailing that was cancelled: found, and given a final state."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import delete, exists, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from scheduler.deliveries import Delivery, State
from scheduler.store.audience_tables import recipients
from scheduler.store.claims import to_delivery
from scheduler.store.db import Database, unindexed
from scheduler.store.recipients import UNCHOSEN, RecipientState
from scheduler.store.states import ended_since
from scheduler.store.tables import deliveries

CODE = "cancelled"
_OPEN = (RecipientState.PENDING, RecipientState.SENDING)


async def cancelled(database: Database, *, since: int, limit: int) -> Sequence[Delivery]:
    """Deliveries cancelled at or after `since` for which somebody still waits."""
    waiting = exists().where(
        recipients.c.delivery_id == deliveries.c.id, recipients.c.state.in_(_OPEN)
    )
    statement = (
        select(deliveries)
        .where(*ended_since(since, State.CANCELLED), waiting)
        .order_by(unindexed(deliveries.c.id))
        .limit(limit)
    )
    async with database.read() as connection:
        rows = (await connection.execute(statement)).mappings().all()
    return [to_delivery(row) for row in rows]


async def settle_some(
    database: Database, connection: AsyncConnection, of: Delivery, *, at_once: int, now: int
) -> int:
    """End the waiting of some, and of who was to get the post here in another's stead; how many
    those were. Nobody knows whether who was being written to has it."""
    waiting = recipients.c.delivery_id == of.id
    chosen = (
        select(recipients.c.contact_id, recipients.c.state)
        .where(waiting, recipients.c.state.in_(_OPEN), recipients.c.contact_id != UNCHOSEN)
        .limit(at_once)
    )
    rows = (await connection.execute(chosen)).all()
    for before, after, detail in (
        (RecipientState.PENDING, RecipientState.SUPPRESSED, "cancelled before their turn came"),
        (RecipientState.SENDING, RecipientState.UNCERTAIN, "cancelled while they were written to"),
    ):
        some = [row[0] for row in rows if row[1] == before]
        values: dict[str, Any] = {"state": after, "code": CODE, "detail": detail, "updated_at": now}
        await _put(database, connection, [of.id], some, before, values)
    if of.part == "stand-in":
        parents = select(deliveries.c.id).where(
            deliveries.c.post_id == of.post_id, deliveries.c.id != of.id
        )
        values = {
            "state": RecipientState.UNREACHED, "code": CODE, "updated_at": now,
            "detail": "what was to reach them instead was cancelled",
        }  # fmt: skip
        kept = [row[0] for row in rows if row[1] == RecipientState.PENDING]
        ids = list((await connection.execute(parents)).scalars())
        await _put(database, connection, ids, kept, RecipientState.REROUTED, values)
    if len(rows) < at_once:
        await connection.execute(
            delete(recipients).where(waiting, recipients.c.contact_id == UNCHOSEN)
        )
    return len(rows)


async def not_sent(connection: AsyncConnection, delivery_id: str) -> int:
    """How many were not written to because the mailing was cancelled."""
    statement = select(func.count()).where(
        recipients.c.delivery_id == delivery_id,
        recipients.c.state == RecipientState.SUPPRESSED,
        recipients.c.code == CODE,
    )
    found: int = (await connection.execute(statement)).scalar_one()
    return found


async def _put(
    database: Database,
    connection: AsyncConnection,
    delivery_ids: Sequence[str],
    contact_ids: Sequence[str],
    before: RecipientState,
    values: dict[str, Any],
) -> None:
    if contact_ids and delivery_ids:
        await connection.execute(
            update(recipients)
            .where(
                recipients.c.delivery_id.in_(database.each(delivery_ids)),
                recipients.c.contact_id.in_(database.each(contact_ids)),
                unindexed(recipients.c.state) == before,
            )
            .values(values)
        )
