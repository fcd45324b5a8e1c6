"""Reports of drills, and the sizes of audiences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import uuid_utils
from sqlalchemy import RowMapping, insert, select

from scheduler.store.db import Connection
from scheduler.store.plan_b_tables import drills
from scheduler.store.tables import accounts


async def audiences(connection: Connection) -> dict[str, int | None]:
    """How many people each account reaches, None where nobody knows."""
    rows = await connection.execute(select(accounts.c.id, accounts.c.audience))
    return {row.id: row.audience for row in rows}


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


async def get(connection: Connection, drill_id: str) -> RowMapping | None:
    statement = select(drills).where(drills.c.id == drill_id)
    return (await connection.execute(statement)).mappings().one_or_none()
