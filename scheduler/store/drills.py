"""Reports of drills, and the sizes of audiences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import uuid_utils
from sqlalchemy import RowMapping, func, insert, select

from scheduler.store.audience_tables import addresses, memberships
from scheduler.store.db import Connection
from scheduler.store.plan_b_tables import drills
from scheduler.store.tables import accounts


async def audiences(connection: Connection) -> dict[str, int | None]:
    """How many people each account reaches, None where nobody knows: what its platform says, else
    whom we may write to by it."""
    told = await connection.execute(select(accounts.c.id, accounts.c.audience))
    subscribed = (
        select(memberships.c.list_id, func.count())
        .where(memberships.c.state == "subscribed")
        .group_by(memberships.c.list_id)
    )
    known = select(addresses.c.account_id, func.count(addresses.c.contact_id.distinct())).group_by(
        addresses.c.account_id
    )
    counted: dict[str, int] = {}
    for statement in (known, subscribed):
        counted |= {row[0]: row[1] for row in await connection.execute(statement)}
    return {row.id: counted.get(row.id) if row.audience is None else row.audience for row in told}


async def keep(
    connection: Connection,
    *,
    account_id: str,
    live: bool,
    actor: str,
    report: Mapping[str, Any],
    now: int,
) -> str:
    """Store a report; its id."""
    drill_id = str(uuid_utils.uuid7())
    await connection.execute(
        insert(drills).values(
            id=drill_id,
            account_id=account_id,
            live=live,
            actor=actor,
            report=dict(report),
            at=now,
        )
    )
    return drill_id


async def listed(connection: Connection, limit: int) -> Sequence[RowMapping]:
    """Drills, newest first."""
    statement = select(drills).order_by(drills.c.at.desc(), drills.c.id.desc()).limit(limit)
    return (await connection.execute(statement)).mappings().all()


async def last(connection: Connection, of: int = 200) -> dict[str, int]:
    """When each account was last lost in a drill, as far as the last drills tell. Their reports,
    which are long, are not read."""
    statement = select(drills.c.account_id, drills.c.at).order_by(drills.c.at.desc()).limit(of)
    found: dict[str, int] = {}
    for account_id, at in await connection.execute(statement):
        found.setdefault(account_id, at)
    return found


async def get(connection: Connection, drill_id: str) -> RowMapping | None:
    statement = select(drills).where(drills.c.id == drill_id)
    return (await connection.execute(statement)).mappings().one_or_none()
