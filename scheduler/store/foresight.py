"""What looking ahead reads: when credentials end, what is due after, where posts would go."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import RowMapping, select

from scheduler.deliveries import State
from scheduler.store.db import Connection
from scheduler.store.routes import effective
from scheduler.store.tables import accounts, deliveries, posts

NAMED = 10


async def standings(connection: Connection) -> Sequence[RowMapping]:
    """Connected accounts: `id, status, expires_at`."""
    statement = (
        select(accounts.c.id, accounts.c.status, accounts.c.expires_at)
        .where(accounts.c.archived_at.is_(None))
        .order_by(accounts.c.id)
    )
    return (await connection.execute(statement)).mappings().all()


async def fallbacks(connection: Connection) -> dict[str, tuple[str, ...]]:
    """Each account's plan B."""
    return await effective(connection)


async def due_after(connection: Connection, account_id: str, moment: int) -> list[str]:
    """Titles of the first posts that wait for the account and are due after that moment."""
    statement = (
        select(posts.c.title)
        .join(deliveries, deliveries.c.post_id == posts.c.id)
        .where(
            deliveries.c.account_id == account_id,
            deliveries.c.state == State.SCHEDULED,
            deliveries.c.due_at > moment,
        )
        .order_by(deliveries.c.due_at, deliveries.c.id)
        .limit(NAMED)
    )
    return list((await connection.execute(statement)).scalars())
