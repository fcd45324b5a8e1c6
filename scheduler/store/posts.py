"""Posts and their deliveries, written together and read back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import RowMapping, and_, exists, insert, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from scheduler.store.tables import accounts, attempts, deliveries, media, posts

Row = Mapping[str, Any]


async def add(connection: AsyncConnection, rows: Sequence[Row], legs: Sequence[Row]) -> None:
    """Store posts (`rows`) and their deliveries (`legs`), full rows both."""
    await connection.execute(insert(posts), list(rows))
    await connection.execute(insert(deliveries), list(legs))


async def get(connection: AsyncConnection, post_id: str) -> RowMapping | None:
    statement = select(posts).where(posts.c.id == post_id)
    return (await connection.execute(statement)).mappings().one_or_none()


async def deliveries_of(
    connection: AsyncConnection, post_ids: Sequence[str]
) -> Sequence[RowMapping]:
    """The deliveries of these posts with `account_name` and `channel`, as they were planned."""
    statement = (
        select(deliveries, accounts.c.name.label("account_name"), accounts.c.channel)
        .join(accounts, accounts.c.id == deliveries.c.account_id)
        .where(deliveries.c.post_id.in_(post_ids))
        .order_by(deliveries.c.id)
    )
    return (await connection.execute(statement)).mappings().all()


async def attempts_of(
    connection: AsyncConnection, delivery_ids: Sequence[str]
) -> Sequence[RowMapping]:
    """What was tried, in order."""
    statement = (
        select(attempts).where(attempts.c.delivery_id.in_(delivery_ids)).order_by(attempts.c.id)
    )
    return (await connection.execute(statement)).mappings().all()


async def media_of(connection: AsyncConnection, ids: Sequence[str]) -> dict[str, Row]:
    """Uploads as a post's content describes them (see `scheduler.content`), by id."""
    names = ("id", "content_type", "alt", "width", "height", "size", "sha256")
    statement = select(*(media.c[name] for name in names)).where(media.c.id.in_(ids))
    rows = (await connection.execute(statement)).mappings()
    return {row["id"]: dict(row) for row in rows}


@dataclass(frozen=True, slots=True, kw_only=True)
class PostFilter:
    """Which posts to list; times are microseconds since 1970, `due_before` exclusive."""

    state: str | None = None
    channel: str | None = None
    account: str | None = None
    campaign: str | None = None
    due_from: int | None = None
    due_before: int | None = None


async def page(
    connection: AsyncConnection,
    wanted: PostFilter,
    *,
    after: tuple[int, str] | None,
    limit: int,
    newest_first: bool,
) -> Sequence[RowMapping]:
    """Posts by due time, then id; `after` is the (due_at, id) that the last page ended with."""
    statement = select(posts).where(*_conditions(wanted))
    key = (posts.c.due_at, posts.c.id)
    if after is not None:
        due_at, post_id = after
        statement = statement.where(
            or_(
                key[0] < due_at if newest_first else key[0] > due_at,
                and_(key[0] == due_at, key[1] < post_id if newest_first else key[1] > post_id),
            )
        )
    order = [column.desc() for column in key] if newest_first else list(key)
    return (await connection.execute(statement.order_by(*order).limit(limit))).mappings().all()


def _conditions(wanted: PostFilter) -> list[Any]:
    conditions: list[Any] = []
    if wanted.due_from is not None:
        conditions.append(posts.c.due_at >= wanted.due_from)
    if wanted.due_before is not None:
        conditions.append(posts.c.due_at < wanted.due_before)
    if wanted.campaign is not None:
        conditions.append(posts.c.campaign_id == wanted.campaign)
    legs = [deliveries.c.post_id == posts.c.id]
    if wanted.state is not None:
        legs.append(deliveries.c.state == wanted.state)
    if wanted.account is not None:
        legs.append(deliveries.c.account_id == wanted.account)
    if wanted.channel is not None:
        legs.append(
            deliveries.c.account_id.in_(
                select(accounts.c.id).where(accounts.c.channel == wanted.channel)
            )
        )
    if len(legs) > 1:
        conditions.append(exists().where(*legs))
    return conditions
