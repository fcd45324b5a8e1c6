"""Other addresses of a person: what they are called elsewhere, and by telephone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import uuid_utils
from sqlalchemy import RowMapping, delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from scheduler.store.audience_tables import addresses, contacts

EMAIL, PHONE = "email", "phone"
# In place of an account's: an address that no account of ours writes to.
NO_ACCOUNT = ""


async def of_contact(connection: AsyncConnection, contact_id: str) -> Sequence[RowMapping]:
    """Oldest first."""
    statement = (
        select(addresses)
        .where(addresses.c.contact_id == contact_id)
        .order_by(addresses.c.created_at, addresses.c.id)
    )
    return (await connection.execute(statement)).mappings().all()


async def count(connection: AsyncConnection, contact_id: str) -> int:
    statement = select(func.count()).where(addresses.c.contact_id == contact_id)
    found: int = (await connection.execute(statement)).scalar_one()
    return found


async def holder(
    connection: AsyncConnection, *, channel: str, account_id: str, address: str
) -> str | None:
    """The contact who has it, None for nobody; an e-mail address may be somebody's first one."""
    statement = select(addresses.c.contact_id).where(
        addresses.c.account_id == account_id,
        addresses.c.channel == channel,
        addresses.c.address == address,
    )
    found: str | None = (await connection.execute(statement)).scalar_one_or_none()
    if found is None and channel == EMAIL:
        first = select(contacts.c.id).where(contacts.c.email == address)
        found = (await connection.execute(first)).scalar_one_or_none()
    return found


async def add(
    connection: AsyncConnection, contact_id: str, values: Mapping[str, Any], *, now: int
) -> str:
    """A new address's id. `values`: `channel`, `account_id`, `address`, `writable_until`."""
    row = {"id": str(uuid_utils.uuid7()), "contact_id": contact_id, "created_at": now, **values}
    await connection.execute(insert(addresses).values(row))
    return str(row["id"])


async def move(
    connection: AsyncConnection, contact_id: str, *, channel: str, account_id: str, address: str
) -> bool:
    """Give an address to whose it is, with its window; False for somebody's first e-mail address,
    which is not one of these."""
    statement = (
        update(addresses)
        .where(
            addresses.c.account_id == account_id,
            addresses.c.channel == channel,
            addresses.c.address == address,
        )
        .values(contact_id=contact_id)
    )
    return bool((await connection.execute(statement)).rowcount)


async def remove(connection: AsyncConnection, contact_id: str, address_id: str) -> bool:
    """False when they have no such address."""
    statement = delete(addresses).where(
        addresses.c.contact_id == contact_id, addresses.c.id == address_id
    )
    return bool((await connection.execute(statement)).rowcount)
