"""What looking ahead reads: when credentials end, what is due after, where posts would go."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import RowMapping, func, select

from channels.words import shorten
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


async def due_after(connection: Connection, account_id: str, moment: int) -> tuple[list[str], int]:
    """Of the posts that wait for the account and are due after that moment: the first by name
    (title, or the beginning of the body), and how many there are."""
    at_risk = (
        deliveries.c.account_id == account_id,
        deliveries.c.state.in_([State.SCHEDULED, State.HELD]),
        deliveries.c.due_at > moment,
    )
    statement = (
        select(posts.c.title, posts.c.content)
        .join(deliveries, deliveries.c.post_id == posts.c.id)
        .where(*at_risk)
        .order_by(deliveries.c.due_at, deliveries.c.id)
        .limit(NAMED)
    )
    first = (await connection.execute(statement)).all()
    counted = select(func.count()).select_from(deliveries).where(*at_risk)
    count = (await connection.execute(counted)).scalar_one()
    return [title or _beginning(content.get("body", "")) for title, content in first], int(count)


def _beginning(body: str) -> str:
    return shorten(" ".join(body.split()), 60)
