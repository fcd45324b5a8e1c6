"""Posts and their deliveries, written together and read back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import RowMapping, exists, insert, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from scheduler.store.tables import accounts, attempts, deliveries, posts

Row = Mapping[str, Any]

_WITH_ACCOUNT = select(deliveries, accounts.c.name.label("account_name"), accounts.c.channel).join(
    accounts, accounts.c.id == deliveries.c.account_id
)


async def add(connection: AsyncConnection, rows: Sequence[Row], legs: Sequence[Row]) -> None:
    """Store posts (`rows`) and their deliveries (`legs`), full rows both."""
    await connection.execute(insert(posts), list(rows))
    await add_deliveries(connection, legs)


async def add_deliveries(connection: AsyncConnection, legs: Sequence[Row]) -> None:
    await connection.execute(insert(deliveries), list(legs))


async def get(connection: AsyncConnection, post_id: str) -> RowMapping | None:
    statement = select(posts).where(posts.c.id == post_id)
    return (await connection.execute(statement)).mappings().one_or_none()


async def deliveries_of(
    connection: AsyncConnection, post_ids: Sequence[str]
) -> Sequence[RowMapping]:
    """The deliveries of these posts with `account_name` and `channel`, as they were planned."""
    statement = _WITH_ACCOUNT.where(deliveries.c.post_id.in_(post_ids)).order_by(deliveries.c.id)
    return (await connection.execute(statement)).mappings().all()


async def delivery(connection: AsyncConnection, delivery_id: str) -> RowMapping | None:
    """One delivery with `account_name` and `channel`."""
    statement = _WITH_ACCOUNT.where(deliveries.c.id == delivery_id)
    return (await connection.execute(statement)).mappings().one_or_none()


async def delivery_page(
    connection: AsyncConnection,
    *,
    state: str | None,
    account: str | None,
    after: tuple[int, str] | None,
    limit: int,
) -> Sequence[RowMapping]:
    """Deliveries by due time, then id, as `delivery` gives them."""
    statement = _WITH_ACCOUNT
    if state is not None:
        statement = statement.where(deliveries.c.state == state)
    if account is not None:
        statement = statement.where(deliveries.c.account_id == account)
    if after is not None:
        statement = statement.where(tuple_(deliveries.c.due_at, deliveries.c.id) > after)
    statement = statement.order_by(deliveries.c.due_at, deliveries.c.id).limit(limit)
    return (await connection.execute(statement)).mappings().all()


async def attempts_of(
    connection: AsyncConnection, delivery_ids: Sequence[str]
) -> Sequence[RowMapping]:
    """What was tried, in order."""
    statement = (
        select(attempts).where(attempts.c.delivery_id.in_(delivery_ids)).order_by(attempts.c.id)
    )
    return (await connection.execute(statement)).mappings().all()


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
        beyond = tuple_(*key) < after if newest_first else tuple_(*key) > after
        statement = statement.where(beyond)
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


async def titles(connection: AsyncConnection, post_ids: Sequence[str]) -> dict[str, str]:
    """The titles of these posts, by id."""
    statement = select(posts.c.id, posts.c.title).where(posts.c.id.in_(post_ids))
    return {row.id: row.title for row in await connection.execute(statement)}
