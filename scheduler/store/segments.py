"""Segments: saved filters, and whom one means at this moment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import uuid_utils
from sqlalchemy import ColumnElement, RowMapping, delete, exists, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from scheduler.audience.filters import Filter, parse
from scheduler.store.audience_tables import contacts, memberships, segments
from scheduler.store.db import Database
from scheduler.store.matching import Matcher, member
from scheduler.store.tables import deliveries, posts

_FINAL = ("delivered", "rerouted", "failed", "cancelled")


async def get(connection: AsyncConnection, segment_id: str) -> RowMapping | None:
    statement = select(segments).where(segments.c.id == segment_id)
    return (await connection.execute(statement)).mappings().one_or_none()


async def listed(connection: AsyncConnection) -> Sequence[RowMapping]:
    """All segments, oldest first."""
    statement = select(segments).order_by(segments.c.created_at, segments.c.id)
    return (await connection.execute(statement)).mappings().all()


async def unknown(connection: AsyncConnection, ids: Sequence[str]) -> set[str]:
    """Which of these ids name no segment."""
    statement = select(segments.c.id).where(segments.c.id.in_(ids))
    return set(ids) - {row[0] for row in await connection.execute(statement)}


async def create(connection: AsyncConnection, values: Mapping[str, Any], *, now: int) -> str:
    """A new segment's id. `values`: `name`, `filter` (JSON)."""
    segment_id = str(uuid_utils.uuid7())
    row = {"id": segment_id, "created_at": now, "updated_at": now, **values}
    await connection.execute(insert(segments).values(row))
    return segment_id


async def change(
    connection: AsyncConnection, segment_id: str, values: Mapping[str, Any], *, now: int
) -> None:
    if values:
        statement = update(segments).where(segments.c.id == segment_id)
        await connection.execute(statement.values(**values, updated_at=now))


async def remove(connection: AsyncConnection, segment_id: str) -> None:
    await connection.execute(delete(segments).where(segments.c.id == segment_id))


async def used_by(
    database: Database, connection: AsyncConnection, segment_id: str, *, limit: int
) -> list[str]:
    """Titles (or ids) of posts for this segment that have not gone everywhere yet."""
    waiting = exists(
        select(deliveries.c.id).where(
            deliveries.c.post_id == posts.c.id, deliveries.c.state.not_in(_FINAL)
        )
    )
    statement = (
        select(posts.c.title, posts.c.id)
        .where(waiting, _to(database) == segment_id)
        .order_by(posts.c.due_at)
        .limit(limit)
    )
    return [row[0] or row[1] for row in await connection.execute(statement)]


def _to(database: Database) -> ColumnElement[Any]:
    """The segment that a post names."""
    if database.is_postgresql:
        return posts.c.content.op("->>")("to")
    return func.json_extract(posts.c.content, "$.to")


class LostSegmentError(LookupError):
    """A post is for a segment that is not there (any more): nobody knows who may get it."""


async def filter_of(
    database: Database, connection: AsyncConnection, delivery_id: str
) -> dict[str, Any] | None:
    """Whom of a list a delivery's post is for, None for everybody. Error: LostSegmentError."""
    statement = (
        select(_to(database))
        .select_from(deliveries)
        .join(posts, posts.c.id == deliveries.c.post_id)
        .where(deliveries.c.id == delivery_id)
    )
    segment_id = (await connection.execute(statement)).scalar_one_or_none()
    if segment_id is None:
        return None
    row = await get(connection, segment_id)
    if row is None:
        raise LostSegmentError(segment_id)
    found: dict[str, Any] = row["filter"]
    return found


def condition(database: Database, node: dict[str, Any], *, now: int) -> ColumnElement[bool]:
    """A stored filter as a condition on `contacts`, as of `now` (microseconds)."""
    return Matcher(database, now).of(parse(node))


async def count(
    database: Database, connection: AsyncConnection, node: Filter, *, list_id: str | None, now: int
) -> int:
    """How many contacts it means now; with a list, of its subscribers."""
    statement = (
        select(func.count()).select_from(contacts).where(*_reached(database, node, list_id, now))
    )
    found: int = (await connection.execute(statement)).scalar_one()
    return found


async def members(
    database: Database,
    connection: AsyncConnection,
    node: Filter,
    *,
    list_id: str | None,
    after: str | None,
    limit: int,
    now: int,
) -> Sequence[RowMapping]:
    """Whom it means, in the order of their arrival; `after` an id."""
    statement = select(contacts).where(*_reached(database, node, list_id, now))
    if after is not None:
        statement = statement.where(contacts.c.id > after)
    statement = statement.order_by(contacts.c.id).limit(limit)
    return (await connection.execute(statement)).mappings().all()


def _reached(
    database: Database, node: Filter, list_id: str | None, now: int
) -> list[ColumnElement[bool]]:
    conditions = [Matcher(database, now).of(node)]
    if list_id is not None:
        conditions.append(member(memberships.c.list_id == list_id))
    return conditions
