"""Campaigns and the posts that follow them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import RowMapping, select, tuple_, update

from scheduler.deliveries import Delivery, State
from scheduler.store.campaign_tables import campaigns
from scheduler.store.claims import to_delivery
from scheduler.store.db import Connection, Database
from scheduler.store.tables import deliveries, posts

Row = Mapping[str, Any]


async def add(connection: Connection, database: Database, row: Row) -> bool:
    """Store a campaign (a full row); False when its occurrence is planned already."""
    statement = database.insert(campaigns).values(**row).on_conflict_do_nothing()
    return bool((await connection.execute(statement.returning(campaigns.c.id))).first())


async def get(connection: Connection, campaign_id: str, *, lock: bool = False) -> RowMapping | None:
    """The campaign's row; `lock`: nobody else changes it until this transaction ends."""
    statement = select(campaigns).where(campaigns.c.id == campaign_id)
    if lock:
        statement = statement.with_for_update()
    return (await connection.execute(statement)).mappings().one_or_none()


async def told_by(connection: Connection, rows: Iterable[Mapping[Any, Any]]) -> dict[str, Row]:
    """The campaigns that rows of `posts` belong to, by id; asks nothing when there is none."""
    wanted = sorted({row["campaign_id"] for row in rows if row["campaign_id"] is not None})
    if not wanted:
        return {}
    statement = select(campaigns).where(campaigns.c.id.in_(wanted))
    found = (await connection.execute(statement)).mappings().all()
    return {row["id"]: dict(row) for row in found}


async def of_posts(database: Database, rows: Collection[Mapping[Any, Any]]) -> dict[str, Row]:
    """As `told_by`, on a connection of its own, which is taken only when it is needed."""
    if all(row["campaign_id"] is None for row in rows):
        return {}
    async with database.read() as connection:
        return await told_by(connection, rows)


async def page(
    connection: Connection,
    *,
    after: tuple[int, str] | None,
    limit: int,
    recurrence: str | None = None,
) -> Sequence[RowMapping]:
    """Campaigns, newest first; `after` is the (created_at, id) that the last page ended with."""
    statement = select(campaigns)
    if recurrence is not None:
        statement = statement.where(campaigns.c.recurrence_id == recurrence)
    if after is not None:
        statement = statement.where(tuple_(campaigns.c.created_at, campaigns.c.id) < after)
    order = (campaigns.c.created_at.desc(), campaigns.c.id.desc())
    return (await connection.execute(statement.order_by(*order).limit(limit))).mappings().all()


async def posts_of(
    connection: Connection, campaign_id: str, *, lock: bool = False
) -> Sequence[RowMapping]:
    """The campaign's posts in a fixed order."""
    statement = select(posts).where(posts.c.campaign_id == campaign_id).order_by(posts.c.id)
    if lock:
        statement = statement.with_for_update()
    return (await connection.execute(statement)).mappings().all()


async def deliveries_of(
    connection: Connection, post_ids: Sequence[str], *, lock: bool = False
) -> list[Delivery]:
    """All deliveries of these posts in a fixed order."""
    statement = (
        select(deliveries).where(deliveries.c.post_id.in_(post_ids)).order_by(deliveries.c.id)
    )
    if lock:
        statement = statement.with_for_update()
    return [to_delivery(row) for row in (await connection.execute(statement)).mappings()]


async def change(connection: Connection, campaign_id: str, values: Row) -> None:
    await connection.execute(
        update(campaigns).where(campaigns.c.id == campaign_id).values(**values)
    )


async def retime(
    connection: Connection,
    delivery_id: str,
    *,
    due_at: int,
    deadline_at: int | None,
    look_at: int | None,
    now: int,
) -> None:
    """Give a held delivery its new time; it stays held for what it was held for."""
    await connection.execute(
        update(deliveries)
        .where(deliveries.c.id == delivery_id, deliveries.c.state == State.HELD)
        .values(
            due_at=due_at,
            planned_at=due_at,
            deadline_at=deadline_at,
            look_at=look_at,
            updated_at=now,
        )
    )
