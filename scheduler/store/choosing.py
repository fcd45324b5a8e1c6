"""Who gets a broadcast: chosen once, some at a time.

A transaction for a million people would keep every other delivery waiting for the database. Each
step looks at a stretch of the list, in the order of contact ids, and says in the same transaction
how far it came: in a row of `recipients` that stands for those not chosen yet (`UNCHOSEN`), and
that is gone when everyone is chosen. While it is there nobody is written to; who runs the delivery
next goes on from it. A release that does not know it finds a recipient who waits and has no turn,
and does not call the delivery done.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, case, delete, exists, func, literal, or_, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql import ColumnElement

from channels.posts import Part
from scheduler.store import segments
from scheduler.store.audience_tables import addresses, contacts, memberships, recipients
from scheduler.store.db import Database, unindexed
from scheduler.store.recipients import SUBSCRIBED, UNCHOSEN, RecipientState
from scheduler.store.tables import deliveries


@dataclass(frozen=True, slots=True)
class _Mark:
    """How far it came: up to which contact id, as of when (microseconds), and for which segment
    (its filter as JSON, empty for everybody)."""

    after: str
    cut: int
    among: str


async def choose(
    database: Database,
    connection: AsyncConnection,
    *,
    delivery_id: str,
    account_id: str,
    by_email: bool,
    now: int,
    at_once: int,
) -> bool:
    """Choose some more of those who get this delivery; whether that is everyone.

    They are the subscribers of the account's list (the list with its id), or who has an address
    with this account, when the first step is made; of them, the segment that the post names, as
    it is then. Error: LostSegmentError.
    """
    mark = await _mark_of(connection, delivery_id)
    begun = mark is not None
    if mark is None:
        known = select(recipients.c.contact_id).where(recipients.c.delivery_id == delivery_id)
        if (await connection.execute(known.limit(1))).first() is not None:
            return True
        among = await segments.filter_of(database, connection, delivery_id)
        mark = _Mark("", now, "" if among is None else json.dumps(among))
    column = memberships.c.contact_id if by_email else addresses.c.contact_id
    here = memberships.c.list_id if by_email else addresses.c.account_id
    stretch = select(column).where(here == account_id, column > mark.after).distinct()
    last = (
        await connection.execute(stretch.order_by(column).offset(at_once - 1).limit(1))
    ).scalar_one_or_none()
    chosen = _subscribers(delivery_id, account_id) if by_email else _addressees(account_id, now)
    chosen = chosen.where(column > mark.after, _had_joined(by_email=by_email, cut=mark.cut))
    if last is not None:
        chosen = chosen.where(column <= last)
    if mark.among:
        chosen = chosen.where(segments.condition(database, json.loads(mark.among), now=mark.cut))
    chosen = chosen.add_columns(literal(delivery_id), literal(0), literal(now))
    columns = ["contact_id", "address", "state", "code", "detail"]
    columns += ["delivery_id", "next_at", "updated_at"]
    await connection.execute(database.insert(recipients).from_select(columns, chosen))
    if last is None:
        if begun:
            await connection.execute(delete(recipients).where(_is_mark(delivery_id)))
        return True
    await _put_mark(database, connection, delivery_id, _Mark(last, mark.cut, mark.among))
    return False


async def count(database: Database) -> None:
    """Let PostgreSQL know how many were chosen. Of a delivery that it has not seen it supposes few,
    and would walk all of them to find the some hundred of each chunk."""
    if database.is_postgresql:
        with suppress(DBAPIError):  # who keeps the table to vacuum it lets it know, too
            async with database.write() as connection:
                await connection.exec_driver_sql("SET LOCAL lock_timeout = '1s'")
                await connection.exec_driver_sql("ANALYZE recipients (delivery_id, contact_id)")


def _is_mark(delivery_id: str) -> ColumnElement[bool]:
    return (recipients.c.delivery_id == delivery_id) & (recipients.c.contact_id == UNCHOSEN)


async def _mark_of(connection: AsyncConnection, delivery_id: str) -> _Mark | None:
    statement = select(recipients.c.address, recipients.c.updated_at, recipients.c.detail)
    row = (await connection.execute(statement.where(_is_mark(delivery_id)))).one_or_none()
    return None if row is None else _Mark(*row)


async def _put_mark(
    database: Database, connection: AsyncConnection, delivery_id: str, mark: _Mark
) -> None:
    insert = database.insert(recipients).values(
        delivery_id=delivery_id, contact_id=UNCHOSEN, state=RecipientState.PENDING,
        address=mark.after, updated_at=mark.cut, detail=mark.among,
    )  # fmt: skip
    await connection.execute(
        insert.on_conflict_do_update(
            index_elements=["delivery_id", "contact_id"], set_={"address": mark.after}
        )
    )


def _had_joined(*, by_email: bool, cut: int) -> ColumnElement[bool]:
    """Who comes while the others are chosen comes too late, wherever in the order they stand."""
    return memberships.c.since <= cut if by_email else addresses.c.created_at <= cut


def _subscribers(delivery_id: str, account_id: str) -> Select[Any]:
    """Contact, address, state, code and detail of who a mail is for."""
    return (
        select(
            contacts.c.id,
            contacts.c.email,
            literal(RecipientState.PENDING.value),
            literal(""),
            literal(""),
        )
        .join_from(memberships, contacts)
        .where(
            memberships.c.list_id == account_id,
            unindexed(memberships.c.state) == SUBSCRIBED,
            contacts.c.email.is_not(None),
            ~_stood_in_for(delivery_id),
        )
    )


def _addressees(account_id: str, now: int) -> Select[Any]:
    """As `_subscribers`, of who has an address with the account; whose window is closed is not
    reached, and counted."""
    is_open = or_(addresses.c.writable_until.is_(None), addresses.c.writable_until > now)
    writable = func.max(case((is_open, 1), else_=0)) == 1

    def either(one: str, other: str) -> ColumnElement[str]:
        return case((writable, literal(one)), else_=literal(other))

    return (
        select(
            contacts.c.id,
            func.coalesce(
                func.min(case((is_open, addresses.c.address))), func.min(addresses.c.address)
            ),
            either(RecipientState.PENDING.value, RecipientState.UNREACHED.value),
            either("", "window-closed"),
            either("", "the window in which they may be written to was closed"),
        )
        .join_from(addresses, contacts)
        .where(addresses.c.account_id == account_id)
        .group_by(contacts.c.id)
    )


def _stood_in_for(delivery_id: str) -> ColumnElement[bool]:
    """Who gets the post of this delivery by mail already, because another channel could not reach
    them: nobody is written to twice."""
    post_id = select(deliveries.c.post_id).where(deliveries.c.id == delivery_id)
    stand_ins = select(deliveries.c.id).where(
        deliveries.c.post_id == post_id.scalar_subquery(), deliveries.c.part == Part.STAND_IN
    )
    return exists().where(
        recipients.c.contact_id == contacts.c.id,
        recipients.c.delivery_id.in_(stand_ins),
        recipients.c.state.not_in((RecipientState.REFUSED, RecipientState.SUPPRESSED)),
    )
