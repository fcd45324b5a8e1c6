"""Routes: an account's ordered fallbacks, and the set that a new installation starts with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import RowMapping, delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

from scheduler.store.db import Database
from scheduler.store.tables import accounts, routes

# By channel: where its posts go when it cannot carry them. Data, not code: the owner's own route
# replaces it.
DEFAULT_FALLBACKS: Mapping[str, tuple[str, ...]] = {
    "facebook": ("newsletter", "blog"),
    "linkedin": ("newsletter", "blog"),
    "messenger": ("newsletter", "blog"),
    "newsletter": ("blog",),
    "blog": ("newsletter",),
}

# The adapter whose pages we serve ourselves: readable when every other road is closed.
OWN_SITE = "blog"


async def stored(connection: AsyncConnection) -> dict[str, RowMapping]:
    """The routes that owners wrote, by account id."""
    rows = (await connection.execute(select(routes))).mappings()
    return {row["account_id"]: row for row in rows}


async def effective(connection: AsyncConnection) -> dict[str, tuple[str, ...]]:
    """Each account's fallbacks: its own route, else the default one among connected accounts."""
    statement = (
        select(accounts.c.id, accounts.c.channel, routes.c.fallbacks)
        .outerjoin(routes, routes.c.account_id == accounts.c.id)
        .where(accounts.c.archived_at.is_(None))
        .order_by(accounts.c.id)
    )
    rows = (await connection.execute(statement)).all()
    by_channel: dict[str, list[str]] = {}
    for row in rows:
        by_channel.setdefault(row.channel, []).append(row.id)
    return {
        row.id: tuple(row.fallbacks)
        if row.fallbacks is not None
        else default_for(row.channel, by_channel)
        for row in rows
    }


async def own_sites(connection: AsyncConnection) -> tuple[str, ...]:
    """The connected accounts of the built-in site."""
    statement = (
        select(accounts.c.id)
        .where(accounts.c.adapter == OWN_SITE, accounts.c.archived_at.is_(None))
        .order_by(accounts.c.id)
    )
    return tuple((await connection.execute(statement)).scalars())


def default_for(channel: str, by_channel: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """The first account of each default fallback channel."""
    return tuple(
        by_channel[other][0] for other in DEFAULT_FALLBACKS.get(channel, ()) if other in by_channel
    )


async def write(
    connection: AsyncConnection,
    database: Database,
    *,
    account_id: str,
    fallbacks: Sequence[str],
    mode: str,
    rules: Mapping[str, Any],
    now: int,
) -> None:
    """Set an account's own route."""
    values = {
        "fallbacks": list(fallbacks),
        "mode": mode,
        "rules": dict(rules),
        "updated_at": now,
    }
    statement = database.insert(routes).values(account_id=account_id, **values)
    await connection.execute(
        statement.on_conflict_do_update(index_elements=["account_id"], set_=values)
    )


async def reset(connection: AsyncConnection, account_id: str) -> None:
    """Drop an account's own route: the default one holds again."""
    await connection.execute(delete(routes).where(routes.c.account_id == account_id))
