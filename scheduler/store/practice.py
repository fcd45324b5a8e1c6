"""People to practise on: contacts of the practice platforms, who agreed to everything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import uuid_utils
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from scheduler.store.audience_tables import addresses, consents, contacts, lists, memberships
from scheduler.store.db import Database

_SOURCE = "practice"


async def seed_people(
    connection: AsyncConnection,
    database: Database,
    *,
    account_id: str,
    account_name: str,
    channel: str,
    people: Sequence[Mapping[str, str]],
    now: int,
) -> None:
    """Make these people reachable by the account; those who are already stay as they are.

    `people`: `address` (an e-mail address, or the platform's own id), `name`, `language`.
    """
    mailed = [person for person in people if "@" in person["address"]]
    if mailed:
        insert = database.insert(lists).values(
            id=account_id, name=account_name, language="", created_at=now
        )
        await connection.execute(insert.on_conflict_do_nothing())
    for person in people:
        if "@" in person["address"]:
            await _subscribe(connection, database, account_id, person, now)
        else:
            await _introduce(connection, account_id, channel, person, now)


async def _subscribe(
    connection: AsyncConnection,
    database: Database,
    list_id: str,
    person: Mapping[str, str],
    now: int,
) -> None:
    known = select(contacts.c.id).where(contacts.c.email == person["address"])
    contact_id = (await connection.execute(known)).scalar_one_or_none()
    if contact_id is None:
        contact_id = await _meet(connection, person, now, email=person["address"])
    membership = database.insert(memberships).values(
        list_id=list_id, contact_id=contact_id, state="subscribed", since=now
    )
    added = await connection.execute(membership.on_conflict_do_nothing())
    if added.rowcount:
        await connection.execute(
            database.insert(consents).values(
                contact_id=contact_id, list_id=list_id, action="subscribe", source=_SOURCE,
                at=now, confirmed_at=now,
            )
        )  # fmt: skip


async def _introduce(
    connection: AsyncConnection, account_id: str, channel: str, person: Mapping[str, str], now: int
) -> None:
    known = select(addresses.c.id).where(
        addresses.c.account_id == account_id, addresses.c.address == person["address"]
    )
    if (await connection.execute(known)).first() is not None:
        return
    contact_id = await _meet(connection, person, now, email=None)
    await connection.execute(
        addresses.insert().values(
            id=str(uuid_utils.uuid7()), contact_id=contact_id, channel=channel,
            account_id=account_id, address=person["address"], created_at=now,
        )
    )  # fmt: skip


async def _meet(
    connection: AsyncConnection, person: Mapping[str, str], now: int, *, email: str | None
) -> str:
    contact_id = str(uuid_utils.uuid7())
    await connection.execute(
        contacts.insert().values(
            id=contact_id, email=email, name=person.get("name", ""),
            language=person.get("language", ""), attributes={}, tags=[_SOURCE],
            created_at=now, updated_at=now,
        )
    )  # fmt: skip
    return contact_id
