"""Tell a person of one delivery: what happened to it, why, and what to do next."""

from __future__ import annotations

from scheduler.deliveries import Delivery
from scheduler.store.alerts import raise_alert
from scheduler.store.db import Connection, Database

# What to do about what waits for a person.
NEXT = "send it elsewhere, publish it here once that works again, or cancel it"
# What to do about a doubt that nobody but a person can end.
SETTLE = "look at the page: settle it as published, or send it again"


async def warn(
    connection: Connection,
    database: Database,
    delivery: Delivery,
    *,
    kind: str,
    cause: str,
    action: str,
    now: int,
    severity: str = "warning",
    **more: object,
) -> None:
    """Open the delivery's alert of this kind (`delivery.held`), or count it once more. `more`: what
    else it says."""
    data = {
        "post_id": delivery.post_id,
        "delivery_id": delivery.id,
        "account_id": delivery.account_id,
        "cause": cause,
        "action": action,
        **more,
    }
    fact = f"delivery:{delivery.id}:{kind.partition('.')[2]}"
    await raise_alert(
        connection, database, fact=fact, kind=kind, severity=severity, data=data, now=now
    )
