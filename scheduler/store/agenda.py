"""What the calendar shows."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import RowMapping, select

from scheduler.store.campaign_tables import campaigns
from scheduler.store.db import Connection
from scheduler.store.tables import posts


async def planned(
    connection: Connection, *, since: int, until: int, limit: int
) -> Sequence[RowMapping]:
    """Posts due in this time (microseconds since 1970) that were not cancelled, earliest first."""
    statement = (
        select(posts)
        .where(posts.c.due_at >= since, posts.c.due_at < until, posts.c.cancelled_at.is_(None))
        .order_by(posts.c.due_at, posts.c.id)
        .limit(limit)
    )
    return (await connection.execute(statement)).mappings().all()


async def anchored(
    connection: Connection, *, since: str, until: str, limit: int
) -> Sequence[RowMapping]:
    """Campaigns whose anchor lies between two local times, not cancelled."""
    statement = (
        select(campaigns)
        .where(
            campaigns.c.anchor_local >= since,
            campaigns.c.anchor_local < until,
            campaigns.c.cancelled_at.is_(None),
        )
        .order_by(campaigns.c.anchor_local, campaigns.c.id)
        .limit(limit)
    )
    return (await connection.execute(statement)).mappings().all()
