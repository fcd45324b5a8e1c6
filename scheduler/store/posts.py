"""Posts and their deliveries, written together and read back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ColumnElement,
    RowMapping,
    Select,
    exists,
    insert,
    select,
    tuple_,
    union_all,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from scheduler.deliveries import State
from scheduler.store.states import indexed
from scheduler.store.tables import accounts, attempts, deliveries, posts

FEW = 2000

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
    # The first of each state, by its index, then the first of those: no index has all states.
    first = [
        select(_first_in(one, account, after, limit).subquery())
        for one in ([State(state)] if state is not None else State)
    ]
    statement = (
        _WITH_ACCOUNT.where(deliveries.c.id.in_(select(union_all(*first).subquery())))
        .order_by(deliveries.c.due_at + 0, deliveries.c.id)  # those few are sorted, not looked for
        .limit(limit)
    )
    return (await connection.execute(statement)).mappings().all()


def _first_in(
    state: State, account: str | None, after: tuple[int, str] | None, limit: int
) -> Select[tuple[str]]:
    statement = select(deliveries.c.id)
    if account is None:
        statement = statement.where(*indexed(state))
    else:
        statement = statement.where(deliveries.c.account_id == account, deliveries.c.state == state)
    if after is not None:
        statement = statement.where(tuple_(deliveries.c.due_at, deliveries.c.id) > after)
    return statement.order_by(deliveries.c.due_at, deliveries.c.id).limit(limit)


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
    statement = select(posts).where(*_of_posts(wanted))
    key: Any = (posts.c.due_at, posts.c.id)
    legs = await _of_legs(connection, wanted)
    if legs or wanted.state is not None:
        few = await _few(connection, legs, wanted.state)
        if few is None:
            # As a parameter: what index to use for it is no question here, post_id has one.
            legs += [] if wanted.state is None else [deliveries.c.state == wanted.state]
            one = select(deliveries.c.id).where(deliveries.c.post_id == posts.c.id, *legs)
            # The offset keeps PostgreSQL from joining the whole tables for a page of them.
            statement = statement.where(exists(one.correlate(posts).offset(0)))
        elif not few:
            return []
        else:
            statement = statement.where(posts.c.id.in_(few))
            key = (posts.c.due_at + 0, posts.c.id)  # sort these, do not look for them in due order
    if after is not None:
        beyond = tuple_(*key) < after if newest_first else tuple_(*key) > after
        statement = statement.where(beyond)
    order = [column.desc() for column in key] if newest_first else list(key)
    return (await connection.execute(statement.order_by(*order).limit(limit))).mappings().all()


def _of_posts(wanted: PostFilter) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if wanted.due_from is not None:
        conditions.append(posts.c.due_at >= wanted.due_from)
    if wanted.due_before is not None:
        conditions.append(posts.c.due_at < wanted.due_before)
    if wanted.campaign is not None:
        conditions.append(posts.c.campaign_id == wanted.campaign)
    return conditions


async def _of_legs(connection: AsyncConnection, wanted: PostFilter) -> list[ColumnElement[bool]]:
    """What is asked of the posts' deliveries, beside their state; empty when nothing is."""
    legs: list[ColumnElement[bool]] = []
    if wanted.channel is not None:
        statement = select(accounts.c.id).where(accounts.c.channel == wanted.channel)
        known = (await connection.execute(statement)).scalars().all()
        legs.append(deliveries.c.account_id.in_(known))
    if wanted.account is not None:
        legs.append(deliveries.c.account_id == wanted.account)
    return legs


async def _few(
    connection: AsyncConnection, legs: Sequence[ColumnElement[bool]], state: str | None
) -> list[str] | None:
    """The posts with such deliveries; None when there are many, so that a walk in due order soon
    meets some."""
    statement = select(deliveries.c.post_id).where(*legs).limit(FEW + 1)
    if state is not None:
        by_account = [deliveries.c.state == state]
        statement = statement.where(*(by_account if legs else indexed(State(state))))
    found = (await connection.execute(statement)).scalars().all()
    return None if len(found) > FEW else sorted(set(found))


async def titles(connection: AsyncConnection, post_ids: Sequence[str]) -> dict[str, str]:
    """The titles of these posts, by id."""
    statement = select(posts.c.id, posts.c.title).where(posts.c.id.in_(post_ids))
    return {row.id: row.title for row in await connection.execute(statement)}
