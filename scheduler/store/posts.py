"""Posts and their deliveries, written together and read back."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
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
)
from sqlalchemy.ext.asyncio import AsyncConnection

from scheduler.deliveries import State
from scheduler.store import history
from scheduler.store.faults import ArchivedError
from scheduler.store.heads import first_of
from scheduler.store.states import indexed
from scheduler.store.tables import accounts, attempts, deliveries, posts

FEW = 2000

Row = Mapping[str, Any]

_WITH_ACCOUNT = select(
    deliveries,
    accounts.c.name.label("account_name"),
    accounts.c.channel,
    accounts.c.archived_at.label("account_archived_at"),
).join(accounts, accounts.c.id == deliveries.c.account_id)


async def add(connection: AsyncConnection, rows: Sequence[Row], legs: Sequence[Row]) -> None:
    """Store posts (`rows`) and their deliveries (`legs`), full rows both. Error: ArchivedError."""
    await connection.execute(insert(posts), list(rows))
    await add_deliveries(connection, legs)


async def add_deliveries(connection: AsyncConnection, legs: Sequence[Row]) -> None:
    """Error: ArchivedError."""
    await connection.execute(insert(deliveries), list(legs))
    await refuse_archived(connection, {leg["account_id"] for leg in legs})


async def refuse_archived(connection: AsyncConnection, account_ids: Collection[str]) -> None:
    """Ask once their deliveries are added: from then on their foreign keys hold the accounts, and
    whoever archives one waits, and counts them. Error: ArchivedError."""
    gone = select(accounts.c.name).where(
        accounts.c.id.in_(account_ids), accounts.c.archived_at.is_not(None)
    )
    name = (await connection.execute(gone)).scalars().first()
    if name is not None:
        raise ArchivedError(name)


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
    states = [_in(one, account) for one in ([State(state)] if state is not None else State)]
    statement = (
        _WITH_ACCOUNT.where(deliveries.c.id.in_(first_of(states, after=after, limit=limit)))
        .order_by(deliveries.c.due_at + 0, deliveries.c.id)  # those few are sorted, not looked for
        .limit(limit)
    )
    return (await connection.execute(statement)).mappings().all()


def _in(state: State, account: str | None) -> list[ColumnElement[bool]]:
    if account is None:
        return indexed(state)
    return [deliveries.c.account_id == account, deliveries.c.state == state]


async def attempts_of(
    connection: AsyncConnection, delivery_ids: Sequence[str]
) -> Sequence[Mapping[Any, Any]]:
    """What was tried, in order."""
    statement = (
        select(attempts).where(attempts.c.delivery_id.in_(delivery_ids)).order_by(attempts.c.id)
    )
    rows = (await connection.execute(statement)).mappings().all()
    of_posts = select(deliveries.c.post_id).where(deliveries.c.id.in_(delivery_ids)).distinct()
    post_ids = (await connection.execute(of_posts)).scalars().all()
    packed = await history.packed(connection, post_ids, "attempts")
    return [*(line for line in packed if line["delivery_id"] in delivery_ids), *rows]


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
    """Posts by due time, then id; with a state, by when their delivery in that state is due (the
    first of several, or the last). `listed_at` is that time; `after` is the (listed_at, id) that
    the last page ended with."""
    of_account = await _accounts_of(connection, wanted)
    if of_account is not None and not of_account:
        return []
    if wanted.state is not None:
        statement, key = _by_state(
            wanted, State(wanted.state), of_account, newest_first=newest_first
        )
    else:
        statement, key = await _by_time(connection, wanted, of_account)
    if after is not None:
        statement = statement.where(tuple_(*key) < after if newest_first else tuple_(*key) > after)
    order = [column.desc() for column in key] if newest_first else key
    result = await connection.execute(statement.order_by(*order).limit(limit))
    rows: Sequence[RowMapping] = result.mappings().all()
    return rows


def _by_state(
    wanted: PostFilter, state: State, of_account: Sequence[str] | None, *, newest_first: bool
) -> tuple[Select[Any], list[ColumnElement[Any]]]:
    """Led by the deliveries' index: the posts' own order would meet all of history, or all that
    is planned, before the first match."""
    other = deliveries.alias("other")
    here, there = (tuple_(table.c.due_at, table.c.id) for table in (deliveries, other))
    sooner = select(other.c.id).where(
        other.c.post_id == deliveries.c.post_id,
        other.c.state == deliveries.c.state,
        there > here if newest_first else there < here,
    )
    conditions = indexed(state)
    if of_account is not None:
        sooner = sooner.where(other.c.account_id.in_(of_account))
        conditions = [deliveries.c.account_id.in_(of_account), deliveries.c.state == state]
    statement = (
        select(posts, deliveries.c.due_at.label("listed_at"))
        .join_from(deliveries, posts, posts.c.id == deliveries.c.post_id)
        .where(*conditions, *_of_posts(wanted), ~exists(sooner.correlate(deliveries).offset(0)))
    )
    return statement, [deliveries.c.due_at, deliveries.c.post_id]


async def _by_time(
    connection: AsyncConnection, wanted: PostFilter, of_account: Sequence[str] | None
) -> tuple[Select[Any], list[ColumnElement[Any]]]:
    statement = select(posts, posts.c.due_at.label("listed_at")).where(*_of_posts(wanted))
    if of_account is None:
        return statement, [posts.c.due_at, posts.c.id]
    legs = deliveries.c.account_id.in_(of_account)
    found = select(deliveries.c.post_id).where(legs).limit(FEW + 1)
    few = (await connection.execute(found)).scalars().all()
    if len(few) <= FEW:  # sort these, do not look for them in due order
        statement = statement.where(posts.c.id.in_(set(few)))
        return statement, [posts.c.due_at + 0, posts.c.id]
    one = select(deliveries.c.id).where(deliveries.c.post_id == posts.c.id, legs)
    # The offset keeps PostgreSQL from joining the whole tables for a page of them.
    statement = statement.where(exists(one.correlate(posts).offset(0)))
    return statement, [posts.c.due_at, posts.c.id]


def _of_posts(wanted: PostFilter) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if wanted.due_from is not None:
        conditions.append(posts.c.due_at >= wanted.due_from)
    if wanted.due_before is not None:
        conditions.append(posts.c.due_at < wanted.due_before)
    if wanted.campaign is not None:
        conditions.append(posts.c.campaign_id == wanted.campaign)
    return conditions


async def _accounts_of(connection: AsyncConnection, wanted: PostFilter) -> Sequence[str] | None:
    """The accounts that are asked for; None when any will do."""
    if wanted.channel is None:
        return None if wanted.account is None else [wanted.account]
    statement = select(accounts.c.id).where(accounts.c.channel == wanted.channel)
    if wanted.account is not None:
        statement = statement.where(accounts.c.id == wanted.account)
    return (await connection.execute(statement)).scalars().all()


async def known(connection: AsyncConnection, post_ids: Collection[str]) -> Sequence[RowMapping]:
    """The rows of these posts, in no order."""
    statement = select(posts).where(posts.c.id.in_(sorted(post_ids)))
    rows: Sequence[RowMapping] = (await connection.execute(statement)).mappings().all()
    return rows
