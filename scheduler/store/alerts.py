"""Alerts: one open alert for one fact, however often the fact is seen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import uuid_utils
from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from scheduler.store.alert_tables import alerts
from scheduler.store.db import Database


async def raise_alert(
    connection: AsyncConnection,
    database: Database,
    *,
    fact: str,
    kind: str,
    severity: str,
    data: Mapping[str, Any],
    now: int,
) -> None:
    """Open an alert, or count the fact once more if its alert is open.

    `data` names post, cause and next action: `{title, cause, action, post_id?, delivery_id?,
    account_id?}`.
    """
    statement = database.insert(alerts).values(
        id=str(uuid_utils.uuid7()),
        fact=fact,
        kind=kind,
        severity=severity,
        data=dict(data),
        count=1,
        created_at=now,
        updated_at=now,
    )
    await connection.execute(
        statement.on_conflict_do_update(
            index_elements=["fact"], set_={"count": alerts.c.count + 1, "updated_at": now}
        )
    )


async def amend(connection: AsyncConnection, fact: str, data: Mapping[str, Any], now: int) -> None:
    """Say more in the open alert of this fact; no alert is opened."""
    await connection.execute(
        update(alerts).where(alerts.c.fact == fact).values(data=dict(data), updated_at=now)
    )


async def resolve(connection: AsyncConnection, fact: str, now: int) -> bool:
    """Close the open alert of this fact, if there is one."""
    result = await connection.execute(
        update(alerts).where(alerts.c.fact == fact).values(fact=None, resolved_at=now)
    )
    return result.rowcount > 0


async def tell(
    connection: AsyncConnection, *, kind: str, data: Mapping[str, Any], now: int
) -> None:
    """News that asks for nothing: sent once, never open."""
    await connection.execute(
        insert(alerts).values(
            id=str(uuid_utils.uuid7()),
            fact=None,
            kind=kind,
            severity="info",
            data=dict(data),
            count=1,
            created_at=now,
            updated_at=now,
            resolved_at=now,
        )
    )


async def open_data(connection: AsyncConnection, fact: str) -> Mapping[str, Any] | None:
    """What the open alert of this fact says; None when none is open."""
    statement = select(alerts.c.data).where(alerts.c.fact == fact)
    found: Mapping[str, Any] | None = (await connection.execute(statement)).scalar_one_or_none()
    return found
