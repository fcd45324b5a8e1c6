"""The turns of a broadcast at its recipients: claim some, look who is welcome, settle.

Every statement is fenced by `worker`, the token of the run that claimed the row.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from sqlalchemy import bindparam, literal, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from scheduler.store.audience_tables import contacts, memberships, recipients, suppressions
from scheduler.store.db import Database
from scheduler.store.recipients import SUBSCRIBED, Claimed, RecipientState, Settled


async def claim(
    database: Database,
    connection: AsyncConnection,
    *,
    delivery_id: str,
    token: str,
    now: int,
    limit: int,
) -> list[tuple[str, str, int]]:
    """Take up to `limit` recipients that are due: (contact id, address, tries)."""
    due = (
        select(recipients.c.contact_id)
        .where(
            recipients.c.delivery_id == delivery_id,
            recipients.c.state == RecipientState.PENDING,
            recipients.c.next_at <= now,
        )
        .order_by(recipients.c.next_at)
        .limit(limit)
    )
    chosen = due
    if database.is_postgresql:
        # As a CTE it runs once; as a subquery PostgreSQL may run it again for each row it joins,
        # and claim more than the limit.
        chosen = select(due.with_for_update(skip_locked=True).cte("due").c.contact_id)
    statement = (
        update(recipients)
        .where(
            recipients.c.delivery_id == delivery_id,
            recipients.c.contact_id.in_(chosen),
        )
        .values(state=RecipientState.SENDING, worker=token, updated_at=now)
        .returning(recipients.c.contact_id, recipients.c.address, recipients.c.tries)
    )
    return [(row[0], row[1], row[2]) for row in await connection.execute(statement)]


async def people(
    database: Database,
    connection: AsyncConnection,
    claimed: Sequence[tuple[str, str, int]],
    list_id: str | None,
) -> list[Claimed]:
    """The claimed recipients with what their mail needs. `list_id`: whose subscribers are
    welcome (None: having an address is enough)."""
    ids = [contact_id for contact_id, _, _ in claimed]
    statement = select(
        contacts.c.id, contacts.c.name, contacts.c.language, contacts.c.attributes,
        literal(SUBSCRIBED) if list_id is None else memberships.c.state,
        literal("") if list_id is None else memberships.c.tracking,
    ).where(contacts.c.id.in_(database.each(ids)))  # fmt: skip
    if list_id is not None:
        at_list = (memberships.c.list_id == list_id) & (memberships.c.contact_id == contacts.c.id)
        statement = statement.outerjoin_from(contacts, memberships, at_list)
    known = {row[0]: row for row in await connection.execute(statement)}
    return [
        Claimed(
            contact_id,
            address,
            tries,
            row[1],
            row[2],
            row[3] or {},
            row[4] == SUBSCRIBED,
            row[5] or "",
        )
        if (row := known.get(contact_id)) is not None
        else Claimed(contact_id, address, tries, welcome=False)
        for contact_id, address, tries in claimed
    ]


async def subscribed(
    database: Database, connection: AsyncConnection, ids: Collection[str], list_id: str | None
) -> set[str]:
    """Who of these contacts still exists and, with a list, is still subscribed to it."""
    asked = database.each(ids)
    statement = select(contacts.c.id).where(contacts.c.id.in_(asked))
    if list_id is not None:
        statement = select(memberships.c.contact_id).where(
            memberships.c.list_id == list_id,
            memberships.c.contact_id.in_(asked),
            memberships.c.state == SUBSCRIBED,
        )
    return {row[0] for row in await connection.execute(statement)}


async def suppressed(
    database: Database, connection: AsyncConnection, hashes: Collection[str]
) -> set[str]:
    """Which of these keyed hashes are on the never-again list."""
    statement = select(suppressions.c.hash).where(suppressions.c.hash.in_(database.each(hashes)))
    return {row[0] for row in await connection.execute(statement)}


_SETTLE = (
    update(recipients)
    .where(
        recipients.c.delivery_id == bindparam("of"),
        recipients.c.contact_id == bindparam("who"),
        recipients.c.worker == bindparam("by"),
        or_(
            recipients.c.state == RecipientState.SENDING.value,
            recipients.c.state == RecipientState.UNCERTAIN.value,
        ),
    )
    .values(
        state=bindparam("to"),
        code=bindparam("said"),
        detail=bindparam("why"),
        next_at=bindparam("at"),
        tries=recipients.c.tries + bindparam("more"),
        updated_at=bindparam("now"),
    )
)


async def settle(
    connection: AsyncConnection,
    *,
    delivery_id: str,
    token: str,
    settled: Sequence[Settled],
    now: int,
) -> None:
    """Record outcomes of this run; evidence that comes after a take-over still counts."""
    if settled:
        rows = [
            {
                "of": delivery_id,
                "who": one.contact_id,
                "by": token,
                "to": one.state.value,
                "said": one.code[:64],
                "why": one.detail[:500],
                "at": one.next_at,
                "more": int(one.charged),
                "now": now,
            }
            for one in settled
        ]
        await connection.execute(_SETTLE, rows)


async def accept(
    database: Database,
    connection: AsyncConnection,
    *,
    delivery_id: str,
    token: str,
    taken: Mapping[str, Collection[str]],
    now: int,
) -> None:
    """Record whose mails were accepted, by the code of the answer: what `settle` does, for most
    of a run's recipients."""
    for code, contact_ids in taken.items():
        await connection.execute(
            update(recipients)
            .where(
                recipients.c.delivery_id == delivery_id,
                recipients.c.contact_id.in_(database.each(contact_ids)),
                recipients.c.worker == token,
                or_(
                    recipients.c.state == RecipientState.SENDING,
                    recipients.c.state == RecipientState.UNCERTAIN,
                ),
            )
            .values(
                state=RecipientState.ACCEPTED,
                code=code[:64],
                detail="",
                tries=recipients.c.tries + 1,
                updated_at=now,
            )
        )
