"""What became of a mailing's mails after their servers had taken them.

A recipient who was accepted stays so, for that is what happened; that the mail arrived, came back,
or was called spam, is noted beside it.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

from sqlalchemy import RowMapping, case, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from scheduler.store.audience_tables import recipients
from scheduler.store.recipients import RecipientState
from scheduler.store.tables import deliveries

# Servers give up after five days; readers complain of what they find after their holidays.
WITHIN = 30 * 24 * 3600 * 1_000_000
_TAKEN = (RecipientState.ACCEPTED, RecipientState.UNCERTAIN)
# What a mail that arrived may have been to us: no doubt is left, and nobody gets it twice.
_DOUBTED = (RecipientState.UNCERTAIN, RecipientState.PENDING)


class Later(StrEnum):
    """`BOUNCED`: the mail came back. `COMPLAINED`: its reader called it spam."""

    BOUNCED = "bounced"
    COMPLAINED = "complained"


async def note(
    connection: AsyncConnection,
    contact_id: str,
    later: Later,
    *,
    detail: str,
    names: Callable[[str], bool],
    now: int,
) -> str | None:
    """Note what became of a mail to somebody; the delivery it belonged to, None when there is
    none. `names`: whether the report names the mail of this delivery; where it names none, it is
    about the last one that they got."""
    statement = (
        select(recipients.c.delivery_id, recipients.c.updated_at)
        .join(deliveries, deliveries.c.id == recipients.c.delivery_id)
        .where(
            deliveries.c.due_at >= now - WITHIN,
            recipients.c.contact_id == contact_id,
            recipients.c.state.in_(_TAKEN),
        )
        .order_by(recipients.c.updated_at.desc())
    )
    found = [row[0] for row in await connection.execute(statement)]
    if not found:
        return None
    delivery_id = next((one for one in found if names(one)), found[0])
    await connection.execute(
        update(recipients)
        .where(recipients.c.delivery_id == delivery_id, recipients.c.contact_id == contact_id)
        .values(later=later, detail=detail[:500])
    )
    return str(delivery_id)


async def arrived(
    connection: AsyncConnection,
    contact_id: str,
    account_id: str,
    *,
    names: Callable[[str], bool] | None,
    at: int,
    now: int,
) -> str | None:
    """Note that somebody's own server took a mail of this account's, at `at`; its delivery, None
    when there is none. `names`: as in `note`; None: it is about the last one that they got, and of
    which nothing is known yet."""
    statement = (
        select(recipients.c.delivery_id, recipients.c.state, recipients.c.arrived_at)
        .join(deliveries, deliveries.c.id == recipients.c.delivery_id)
        .where(
            deliveries.c.due_at >= now - WITHIN,
            deliveries.c.account_id == account_id,
            recipients.c.contact_id == contact_id,
            recipients.c.state.in_((*_TAKEN, *_DOUBTED, RecipientState.SENDING)),
        )
        .order_by(recipients.c.updated_at.desc())
    )
    rows = (await connection.execute(statement)).mappings().all()
    found = next((row for row in rows if _is_it(row, names)), None)
    if found is None:
        return None
    its = (recipients.c.delivery_id == found["delivery_id"]) & (
        recipients.c.contact_id == contact_id
    )
    await connection.execute(
        update(recipients).where(its, recipients.c.arrived_at.is_(None)).values(arrived_at=at)
    )
    if names is not None:
        await connection.execute(
            update(recipients)
            .where(its, recipients.c.state.in_(_DOUBTED))
            .values(state=RecipientState.ACCEPTED, code="", detail="", updated_at=now)
        )
    return str(found["delivery_id"])


def _is_it(row: RowMapping, names: Callable[[str], bool] | None) -> bool:
    if names is not None:
        return names(row["delivery_id"])
    return row["state"] == RecipientState.ACCEPTED and row["arrived_at"] is None


async def at_mailboxes(connection: AsyncConnection, delivery_id: str) -> int | None:
    """How many of a delivery's mails are known to have arrived and did not come back afterwards;
    None when nobody tells."""
    statement = select(
        func.count(), func.sum(case((recipients.c.later != Later.BOUNCED, 1), else_=0))
    ).where(recipients.c.delivery_id == delivery_id, recipients.c.arrived_at.is_not(None))
    told, stayed = (await connection.execute(statement)).one()
    return int(stayed) if told else None


async def counts(connection: AsyncConnection, delivery_id: str) -> dict[Later, int]:
    """How many of a delivery's mails came back, and were called spam."""
    statement = (
        select(recipients.c.later, func.count())
        .where(recipients.c.delivery_id == delivery_id, recipients.c.later != "")
        .group_by(recipients.c.later)
    )
    return {Later(row[0]): row[1] for row in await connection.execute(statement)}
