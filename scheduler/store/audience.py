"""Who is on which list, and the proof of how they came and went.

A membership is where somebody stands; `consents` is append-only evidence of how they got there.
"""

from __future__ import annotations

from enum import StrEnum

from sqlalchemy import RowMapping, and_, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from scheduler.store.audience_tables import consents, contacts, lists, memberships


class Standing(StrEnum):
    """Where somebody stands with a list; only the subscribed are written to."""

    PENDING = "pending"
    SUBSCRIBED = "subscribed"
    UNSUBSCRIBED = "unsubscribed"


class Action(StrEnum):
    """What a row of evidence proves."""

    SUBSCRIBE = "subscribe"
    IMPORT = "import"
    UNSUBSCRIBE = "unsubscribe"


async def standing(connection: AsyncConnection, contact_id: str, list_id: str) -> RowMapping | None:
    """`email`, `language`, `state` and `list_name` of somebody, the last two None when they are
    not on the list; None for somebody we do not know (any more)."""
    statement = (
        select(
            contacts.c.email,
            contacts.c.language,
            memberships.c.state,
            lists.c.name.label("list_name"),
        )
        .select_from(contacts)
        .outerjoin(
            memberships,
            and_(memberships.c.contact_id == contacts.c.id, memberships.c.list_id == list_id),
        )
        .outerjoin(lists, lists.c.id == memberships.c.list_id)
        .where(contacts.c.id == contact_id)
    )
    return (await connection.execute(statement)).mappings().one_or_none()


async def unsubscribe(
    connection: AsyncConnection, *, contact_id: str, list_id: str, source: str, now: int
) -> bool:
    """Take somebody off a list and write down that they asked; False if they were not on it.

    The row stays, so that an import cannot put them back.
    """
    left = (
        update(memberships)
        .where(
            memberships.c.contact_id == contact_id,
            memberships.c.list_id == list_id,
            memberships.c.state != Standing.UNSUBSCRIBED,
        )
        .values(state=Standing.UNSUBSCRIBED, since=now)
        .returning(memberships.c.contact_id)
    )
    if (await connection.execute(left)).first() is None:
        return False
    await connection.execute(
        insert(consents).values(
            contact_id=contact_id, list_id=list_id, action=Action.UNSUBSCRIBE, source=source, at=now
        )
    )
    return True
