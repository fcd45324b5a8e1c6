"""What arming reads beside the claimed rows: posts, origins, siblings on the same account."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import exists, select

from channels.posts import Part
from scheduler.deliveries import State
from scheduler.store.audience_tables import recipients
from scheduler.store.claims import CHUNK
from scheduler.store.db import Database
from scheduler.store.recipients import RecipientState
from scheduler.store.tables import accounts, deliveries, posts, routes


async def posts_of(database: Database, ids: Iterable[str]) -> dict[str, Any]:
    """Rows of `posts` by id."""
    wanted = sorted(set(ids))
    found: dict[str, Any] = {}
    async with database.read() as connection:
        for start in range(0, len(wanted), CHUNK):
            rows = await connection.execute(
                select(posts).where(posts.c.id.in_(wanted[start : start + CHUNK]))
            )
            found.update((row["id"], row) for row in rows.mappings())
    return found


async def origins_of(database: Database, ids: Iterable[str]) -> dict[str, Any]:
    """For origin deliveries: channel and name of the account they were meant for, and what its
    route (`rules`, None if it has none) adds."""
    wanted = sorted(set(ids))
    if not wanted:
        return {}
    statement = (
        select(deliveries.c.id, accounts.c.channel, accounts.c.name, routes.c.rules)
        .join(accounts, accounts.c.id == deliveries.c.account_id)
        .outerjoin(routes, routes.c.account_id == accounts.c.id)
        .where(deliveries.c.id.in_(wanted))
    )
    async with database.read() as connection:
        return {row.id: row for row in await connection.execute(statement)}


async def begun_of(database: Database, ids: Iterable[str]) -> set[str]:
    """Of these deliveries, the mailings that some of their readers have."""
    wanted = sorted(set(ids))
    if not wanted:
        return set()
    reached = exists().where(
        recipients.c.delivery_id == deliveries.c.id,
        recipients.c.state.in_((RecipientState.ACCEPTED, RecipientState.UNCERTAIN)),
    )
    statement = select(deliveries.c.id).where(deliveries.c.id.in_(wanted), reached)
    async with database.read() as connection:
        return set((await connection.execute(statement)).scalars())


async def mains_of(database: Database, pairs: Iterable[tuple[str, str]]) -> dict[Any, Any]:
    """(post, account) -> state and remote id of the post's own delivery there: what a first
    comment hangs on."""
    wanted = set(pairs)
    if not wanted:
        return {}
    statement = select(
        deliveries.c.post_id, deliveries.c.account_id, deliveries.c.state, deliveries.c.remote_id
    ).where(
        deliveries.c.post_id.in_(sorted({post for post, _ in wanted})),
        deliveries.c.part == Part.POST,
        deliveries.c.state != State.CANCELLED,
    )
    async with database.read() as connection:
        rows = (await connection.execute(statement)).all()
    return {(row.post_id, row.account_id): row for row in rows}
