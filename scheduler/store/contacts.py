"""Contacts: one row a person, found by their address in its one spelling."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import uuid_utils
from sqlalchemy import RowMapping, delete, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from scheduler.audience.suppression import fingerprint
from scheduler.store.addresses import EMAIL
from scheduler.store.audience_tables import (
    addresses,
    consents,
    contacts,
    memberships,
    recipients,
    service_mails,
    traces,
)
from scheduler.store.db import Database
from scheduler.store.recipients import suppress
from scheduler.store.return_tables import returns

ERASED = "erased"


async def get(connection: AsyncConnection, contact_id: str) -> RowMapping | None:
    statement = select(contacts).where(contacts.c.id == contact_id)
    return (await connection.execute(statement)).mappings().one_or_none()


async def by_email(connection: AsyncConnection, email: str) -> RowMapping | None:
    """`email` in its one spelling (`normal_address`)."""
    statement = select(contacts).where(contacts.c.email == email)
    return (await connection.execute(statement)).mappings().one_or_none()


async def page(
    connection: AsyncConnection,
    *,
    list_id: str | None,
    state: str | None,
    after: str | None,
    limit: int,
) -> Sequence[RowMapping]:
    """Contacts in the order of their ids, which is that of their arrival; `after` an id."""
    statement = select(contacts).limit(limit)
    place = contacts.c.id
    if list_id is not None:  # by its members in their order: it may have more than fit into memory
        place = memberships.c.contact_id
        statement = statement.join(memberships, memberships.c.contact_id == contacts.c.id)
        statement = statement.where(memberships.c.list_id == list_id)
        if state is not None:
            statement = statement.where(memberships.c.state == state)
    elif state is not None:
        members = select(memberships.c.contact_id).where(memberships.c.state == state)
        statement = statement.where(contacts.c.id.in_(members))
    if after is not None:
        statement = statement.where(place > after)
    return (await connection.execute(statement.order_by(place))).mappings().all()


async def meet(
    connection: AsyncConnection, database: Database, values: Mapping[str, Any], *, now: int
) -> tuple[str, bool]:
    """The id of the contact with this `email`, and whether they are new; who is known keeps what
    we know of them."""
    row = {
        "id": str(uuid_utils.uuid7()),
        "attributes": {},
        "tags": [],
        "created_at": now,
        "updated_at": now,
        **values,
    }
    made = database.insert(contacts).values(row).on_conflict_do_nothing(index_elements=["email"])
    created = await connection.execute(made.returning(contacts.c.id))
    if created.first() is not None:
        return row["id"], True
    known = await by_email(connection, row["email"])
    assert known is not None  # the conflict was with them
    return known["id"], False


async def change(
    connection: AsyncConnection, contact_id: str, values: Mapping[str, Any], *, now: int
) -> None:
    await connection.execute(
        update(contacts).where(contacts.c.id == contact_id).values(**values, updated_at=now)
    )


async def belongings(
    connection: AsyncConnection, ids: Sequence[str]
) -> dict[str, dict[str, list[RowMapping]]]:
    """Everything else we hold about people: rows by contact id and table."""
    tables = (addresses, memberships, consents, recipients, returns, traces)
    found: dict[str, dict[str, list[RowMapping]]] = {
        contact_id: {table.name: [] for table in tables} for contact_id in ids
    }
    for table in tables:
        statement = select(table).where(table.c.contact_id.in_(ids))
        for row in (await connection.execute(statement)).mappings():
            found[row["contact_id"]][table.name].append(row)
    for held in found.values():
        held["consents"].sort(key=lambda row: int(row["id"]))
    return found


async def erase(
    connection: AsyncConnection, database: Database, *, contact_id: str, key: bytes, now: int
) -> bool:
    """Forget somebody; False if there is nobody. The keyed hashes of their e-mail addresses
    stay, so that no import brings them back; what was sent keeps its count and loses its address,
    and what servers said, which mostly names it."""
    person = await get(connection, contact_id)
    if person is None:
        return False
    second = select(addresses.c.address).where(
        addresses.c.contact_id == contact_id, addresses.c.channel == EMAIL
    )
    emails = {person["email"], *(await connection.execute(second)).scalars()} - {None, ""}
    rows = [
        {"hash": fingerprint(key, email), "reason": ERASED, "detail": "", "at": now}
        for email in emails
    ]
    await suppress(database, connection, rows)
    await connection.execute(
        update(recipients)
        .where(recipients.c.contact_id == contact_id)
        .values(address="", detail="")
    )
    for table in (addresses, memberships, consents, service_mails, returns, traces):
        await connection.execute(delete(table).where(table.c.contact_id == contact_id))
    await connection.execute(delete(contacts).where(contacts.c.id == contact_id))
    return True
