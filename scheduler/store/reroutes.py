"""What plan B reads and writes: routes, siblings of a delivery, children."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import uuid_utils
from sqlalchemy import RowMapping, insert, select

from channels.base import Kind, Part
from scheduler.deliveries import Delivery, State
from scheduler.reroute import Mode, Route
from scheduler.store.claims import to_delivery
from scheduler.store.db import Connection, Database
from scheduler.store.health import waits_for_its_page
from scheduler.store.routes import effective, stored
from scheduler.store.tables import deliveries, posts


async def route_of(connection: Connection, account_id: str) -> Route:
    """The account's plan B: its owner's, else the default one."""
    fallbacks = (await effective(connection)).get(account_id, ())
    written = (await stored(connection)).get(account_id)
    rules: dict[str, Any] = {} if written is None else written["rules"]
    return Route(
        fallbacks=fallbacks,
        rules={Kind(kind): Mode(mode) for kind, mode in rules.get("kinds", {}).items()},
        note=rules.get("note", ""),
    )


async def siblings_of(connection: Connection, post_id: str) -> list[Delivery]:
    """Every delivery of the post."""
    statement = select(deliveries).where(deliveries.c.post_id == post_id)
    return [to_delivery(row) for row in (await connection.execute(statement)).mappings()]


async def delivery(connection: Connection, delivery_id: str) -> Delivery | None:
    statement = select(deliveries).where(deliveries.c.id == delivery_id)
    row = (await connection.execute(statement)).mappings().first()
    return None if row is None else to_delivery(row)


async def queue_of(database: Database, account_id: str) -> Sequence[RowMapping]:
    """Ids and tokens of what still waits for this account, in the order it would have gone out."""
    statement = (
        select(deliveries.c.id, deliveries.c.token)
        .where(deliveries.c.account_id == account_id, waits_for_its_page())
        .order_by(deliveries.c.due_at, deliveries.c.id)
    )
    async with database.read() as connection:
        return (await connection.execute(statement)).mappings().all()


async def post_row(connection: Connection, post_id: str) -> Any:
    return (await connection.execute(select(posts).where(posts.c.id == post_id))).mappings().one()


async def add_child(
    connection: Connection, parent: Delivery, account_id: str, *, now: int, cause: str
) -> str:
    """A scheduled delivery of the same post on another account; its id."""
    child_id = str(uuid_utils.uuid7())
    due_at = max(now, parent.due_at)
    deadline = parent.deadline_at if (parent.deadline_at or 0) > now else None
    await connection.execute(
        insert(deliveries).values(
            id=child_id,
            post_id=parent.post_id,
            account_id=account_id,
            part=Part.POST,
            state=State.SCHEDULED,
            due_at=due_at,
            planned_at=due_at,
            deadline_at=deadline,
            parent_id=parent.id,
            origin_id=parent.origin_id or parent.id,
            cause=cause,
            created_at=now,
            updated_at=now,
        )
    )
    return child_id
