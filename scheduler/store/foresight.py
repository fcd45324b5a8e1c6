"""What looking ahead reads: when credentials end, what is due after, where posts would go."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import RowMapping, func, select

from channels.words import shorten
from scheduler.deliveries import State
from scheduler.store.db import Connection
from scheduler.store.heads import first_of
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
    after = (deliveries.c.account_id == account_id, deliveries.c.due_at > moment)
    at_risk = [[*after, deliveries.c.state == one] for one in (State.SCHEDULED, State.HELD)]
    statement = (
        select(posts.c.title, posts.c.content)
        .join(deliveries, deliveries.c.post_id == posts.c.id)
        .where(deliveries.c.id.in_(first_of(at_risk, after=None, limit=NAMED)))
        .order_by(deliveries.c.due_at + 0, deliveries.c.id)  # those few are sorted, not looked for
        .limit(NAMED)
    )
    first = (await connection.execute(statement)).all()
    counted = (select(func.count()).select_from(deliveries).where(*one) for one in at_risk)
    count = sum([(await connection.execute(one)).scalar_one() for one in counted])
    return [title or _beginning(content.get("body", "")) for title, content in first], count


def _beginning(body: str) -> str:
    return shorten(" ".join(body.split()), 60)
