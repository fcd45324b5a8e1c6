"""Deliveries whose next look has come: accepted, unconfirmed, held past their date."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import select, update

from scheduler.deliveries import Delivery
from scheduler.store.claims import COLUMNS, to_delivery
from scheduler.store.db import Database
from scheduler.store.states import WAITING
from scheduler.store.tables import deliveries


async def due_looks(
    database: Database, *, now: int, without: Collection[str], limit: int
) -> list[tuple[str, str]]:
    """(delivery, account), the longest due first, but none of the accounts `without`. A read: idle
    workers take no write lock."""
    due = (
        select(deliveries.c.id, deliveries.c.account_id)
        .where(WAITING, deliveries.c.look_at <= now)
        .order_by(deliveries.c.look_at)
        .limit(limit)
    )
    if without:
        due = due.where(deliveries.c.account_id.not_in(database.each(without)))
    async with database.read() as connection:
        return [(row.id, row.account_id) for row in await connection.execute(due)]


async def claim_looks(
    database: Database,
    ids: Collection[str],
    *,
    now: int,
    worker: str,
    token: str,
    lease_until: int,
) -> list[Delivery]:
    """Claim those of these whose look is still due; another worker may have been faster."""
    due = select(deliveries.c.id).where(
        deliveries.c.id.in_(database.each(ids)), WAITING, deliveries.c.look_at <= now
    )
    if database.is_postgresql:
        due = due.with_for_update(skip_locked=True)
    statement = (
        update(deliveries)
        .where(deliveries.c.id.in_(due.scalar_subquery()))
        .values(
            token=token,
            worker=worker,
            look_at=lease_until,
            looks=deliveries.c.looks + 1,
            attempt=deliveries.c.attempt + 1,
            updated_at=now,
        )
        .returning(*COLUMNS)
    )
    async with database.write() as connection:
        rows = (await connection.execute(statement)).mappings().all()
    return [to_delivery(row) for row in rows]
