"""What receipts write: each taken once, windows opened, deliveries found for them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from hashlib import sha256

import uuid_utils
from sqlalchemy import delete, func, insert, or_, select, update

from channels.receipts import Receipt
from scheduler.deliveries import Delivery, HoldReason, State
from scheduler.store.audience_tables import addresses, contacts, recipients
from scheduler.store.claims import to_delivery
from scheduler.store.db import Connection, Database
from scheduler.store.platform_tables import receipts
from scheduler.store.recipients import RecipientState
from scheduler.store.states import WAITING
from scheduler.store.tables import accounts, deliveries


def _slot(receipt_id: str) -> str:
    """Platforms' ids have any length; what is kept has one."""
    return sha256(receipt_id.encode()).hexdigest()


async def take(
    database: Database,
    connection: Connection,
    account_id: str,
    told: Sequence[Receipt],
    *,
    now: int,
    forget_before: int,
) -> list[Receipt]:
    """Those of `told` that were not taken before, each once; they are taken now. What was taken
    before `forget_before` is forgotten."""
    await connection.execute(delete(receipts).where(receipts.c.at < forget_before))
    by_slot = {_slot(one.id): one for one in reversed(told)}
    if not by_slot:
        return []
    statement = (
        database.insert(receipts)
        .values([{"account_id": account_id, "id": slot, "at": now} for slot in by_slot])
        .on_conflict_do_nothing()
        .returning(receipts.c.id)
    )
    fresh = set((await connection.execute(statement)).scalars())
    return [one for slot, one in reversed(by_slot.items()) if slot in fresh]


async def used(
    database: Database,
    connection: Connection,
    account_id: str,
    *,
    word: str,
    body: bytes,
    at: int,
) -> bool:
    """Whether this word, signed for one body, came with another body before; from now on it is
    known, until what is older than `at` is forgotten."""

    async def new(slot: str) -> bool:
        statement = (
            database.insert(receipts)
            .values(account_id=account_id, id=_slot(slot), at=at)
            .on_conflict_do_nothing()
            .returning(receipts.c.id)
        )
        return (await connection.execute(statement)).first() is not None

    with_body = f"once {word} {sha256(body).hexdigest()}"
    if await new(f"once {word}"):
        await new(with_body)
        return False
    known = select(receipts.c.id).where(
        receipts.c.account_id == account_id, receipts.c.id == _slot(with_body)
    )
    return (await connection.execute(known)).first() is None


async def open_window(
    database: Database,
    connection: Connection,
    *,
    account_id: str,
    channel: str,
    address: str,
    until: int,
    heard_at: int,
    now: int,
) -> str:
    """Somebody wrote to us: they may be written to until then. A stranger becomes a contact; a
    receipt that comes late shortens nothing. The contact's id."""
    known = await _contact_at(connection, account_id, address)
    if known is None:
        known = await _meet(database, connection, account_id, channel, address, now)
    await connection.execute(
        update(addresses)
        .where(
            addresses.c.account_id == account_id,
            addresses.c.address == address,
            addresses.c.writable_until < until,
        )
        .values(writable_until=until)
    )
    await connection.execute(
        update(contacts)
        .where(contacts.c.id == known, func.coalesce(contacts.c.heard_at, 0) < heard_at)
        .values(heard_at=heard_at, updated_at=now)
    )
    return known


async def close_window(connection: Connection, account_id: str, address: str, now: int) -> None:
    """Somebody wants no more messages at this address."""
    await connection.execute(
        update(addresses)
        .where(addresses.c.account_id == account_id, addresses.c.address == address)
        .values(writable_until=now)
    )


async def _contact_at(connection: Connection, account_id: str, address: str) -> str | None:
    statement = select(addresses.c.contact_id).where(
        addresses.c.account_id == account_id, addresses.c.address == address
    )
    found: str | None = (await connection.execute(statement)).scalar_one_or_none()
    return found


async def _meet(
    database: Database,
    connection: Connection,
    account_id: str,
    channel: str,
    address: str,
    now: int,
) -> str:
    """A contact for somebody who wrote for the first time; of two webhooks at once, one wins."""
    contact_id = str(uuid_utils.uuid7())
    person = {"id": contact_id, "attributes": {}, "tags": [], "created_at": now, "updated_at": now}
    await connection.execute(insert(contacts), person)
    statement = (
        database.insert(addresses)
        .values(
            id=str(uuid_utils.uuid7()),
            contact_id=contact_id,
            channel=channel,
            account_id=account_id,
            address=address,
            writable_until=0,
            created_at=now,
        )
        .on_conflict_do_nothing(index_elements=["account_id", "address"])
    )
    if (await connection.execute(statement)).rowcount:
        return contact_id
    await connection.execute(delete(contacts).where(contacts.c.id == contact_id))
    other = await _contact_at(connection, account_id, address)
    assert other is not None  # it was in our way
    return other


async def in_doubt(
    connection: Connection, account_id: str, remote_ids: Collection[str], keys: Collection[str]
) -> list[Delivery]:
    """The account's deliveries that wait for certainty and that a platform names, by its own id
    or by our key; locked until the transaction ends."""
    statement = (
        select(deliveries)
        .where(
            deliveries.c.account_id == account_id,
            or_(deliveries.c.remote_id.in_(remote_ids), deliveries.c.id.in_(keys)),
            WAITING,
            or_(
                deliveries.c.state.in_((State.ACCEPTED, State.UNCONFIRMED)),
                (deliveries.c.state == State.HELD)
                & (deliveries.c.hold_reason == HoldReason.UNCONFIRMED),
            ),
        )
        .order_by(deliveries.c.id)
        .with_for_update()
    )
    return [to_delivery(row) for row in (await connection.execute(statement)).mappings()]


async def reached(
    connection: Connection, account_id: str, delivery_id: str, contact_id: str, now: int
) -> bool:
    """The platform repeats what one recipient got: no doubt is left. False if there was none."""
    ours = select(deliveries.c.id).where(
        deliveries.c.id == delivery_id, deliveries.c.account_id == account_id
    )
    result = await connection.execute(
        update(recipients)
        .where(
            recipients.c.delivery_id.in_(ours.scalar_subquery()),
            recipients.c.contact_id == contact_id,
            recipients.c.state.in_((RecipientState.SENDING, RecipientState.UNCERTAIN)),
        )
        .values(state=RecipientState.ACCEPTED, code="", detail="", updated_at=now)
    )
    return result.rowcount > 0


async def look_soon(connection: Connection, account_id: str) -> None:
    """Let the next round of the leader probe this account."""
    await connection.execute(
        update(accounts).where(accounts.c.id == account_id).values(checked_at=None)
    )
