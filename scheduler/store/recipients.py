"""The recipients of broadcasts: chosen once, claimed in chunks, settled one by one.

`worker` holds the token of the run that claimed a row and fences every later write. `next_at` is
0 until a first refusal for now, so that one index finds what is due.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any, NamedTuple

from sqlalchemy import Select, Update, bindparam, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from scheduler.store.audience_tables import contacts, recipients, suppressions
from scheduler.store.db import Database, among, texts_as_json, unindexed
from scheduler.store.ready import Ready, Steps, follow
from scheduler.store.tables import accounts, deliveries, posts

SUBSCRIBED = "subscribed"
# In place of a contact's id: those whom a delivery has not chosen yet (`scheduler.store.choosing`).
UNCHOSEN = ""
TOUCHED_AT_ONCE = 2500


class RecipientState(StrEnum):
    """`SENDING` is claimed by a run; `UNCERTAIN` may have got the mail and is never written to
    again without a person's word. `UNREACHED` cannot be written to here; `REROUTED` is written to
    at another address instead, `COVERED` has the post by another delivery."""

    PENDING = "pending"
    SENDING = "sending"
    ACCEPTED = "accepted"
    REFUSED = "refused"
    SUPPRESSED = "suppressed"
    UNCERTAIN = "uncertain"
    UNREACHED = "unreached"
    REROUTED = "rerouted"
    COVERED = "covered"


class Claimed(NamedTuple):
    """One recipient of a run. `welcome`: still subscribed when looked at. `tracking`: what they
    agreed to beside, as it is stored (`scheduler.audience.tracking`)."""

    contact_id: str
    address: str
    tries: int
    name: str = ""
    language: str = ""
    attributes: Mapping[str, str] = MappingProxyType({})
    welcome: bool = True
    tracking: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """What became of one claimed recipient; `charged`: it counts as a try."""

    contact_id: str
    state: RecipientState
    code: str = ""
    detail: str = ""
    next_at: int = 0
    charged: bool = True


async def lease_of(connection: AsyncConnection, delivery_id: str, token: str) -> int | None:
    """None when the run lost its claim; else until when its account is paused (0: it is not).

    Holds the claim until the transaction ends, so that nobody takes over in between.
    """
    return await follow(connection, leased(delivery_id, token))


def leased(delivery_id: str, token: str) -> Steps[int | None]:
    """The steps of `lease_of`."""
    found = yield _LEASE, {"id": delivery_id, "token": token}
    return found[0][0] if found else None


def _lease(*, postgresql: bool) -> Select[int]:
    statement = (
        select(func.coalesce(accounts.c.paused_until, 0))
        .join_from(deliveries, accounts, deliveries.c.account_id == accounts.c.id)
        .where(deliveries.c.id == bindparam("id"), deliveries.c.token == bindparam("token"))
    )
    return statement.with_for_update(read=True, of=deliveries) if postgresql else statement


_LEASE = Ready(_lease)


async def hold_post(database: Database, connection: AsyncConnection, post_id: str) -> None:
    """Until the transaction ends nobody else chooses who gets this post: two deliveries that
    choose at once would not see that they chose the same person."""
    if database.is_postgresql:  # on SQLite one transaction writes at a time
        statement = select(posts.c.id).where(posts.c.id == post_id).with_for_update(key_share=True)
        await connection.execute(statement)


async def suppressed(connection: AsyncConnection, hashes: Collection[str]) -> set[str]:
    """Which of these keyed hashes are on the never-again list."""
    statement = select(suppressions.c.hash).where(suppressions.c.hash.in_(hashes))
    return {row[0] for row in await connection.execute(statement)}


async def suppress(
    database: Database, connection: AsyncConnection, rows: Sequence[Mapping[str, Any]]
) -> None:
    """Put keyed hashes on the never-again list: `hash`, `reason`, `detail`, `at`."""
    if rows:
        insert = database.insert(suppressions).on_conflict_do_nothing(index_elements=["hash"])
        await connection.execute(insert, [dict(row) for row in rows])


async def strays(connection: AsyncConnection, delivery_id: str, token: str) -> dict[str, list[str]]:
    """Contacts that earlier runs claimed and did not settle, by those runs' tokens."""
    statement = select(recipients.c.worker, recipients.c.contact_id).where(
        recipients.c.delivery_id == delivery_id,
        recipients.c.state == RecipientState.SENDING,
        recipients.c.worker != token,
    )
    found: dict[str, list[str]] = {}
    for worker, contact_id in await connection.execute(statement):
        found.setdefault(worker, []).append(contact_id)
    return found


async def tally(connection: AsyncConnection, delivery_id: str) -> dict[RecipientState, int]:
    """How many recipients are in each state."""
    # Who is not chosen yet is taken off, not left out: an index alone counts the others.
    mark = recipients.alias()
    unchosen = select(func.count()).where(
        mark.c.delivery_id == delivery_id,
        mark.c.contact_id == UNCHOSEN,
        mark.c.state == recipients.c.state,
    )
    statement = (
        select(recipients.c.state, func.count() - unchosen.scalar_subquery())
        .where(recipients.c.delivery_id == delivery_id)
        .group_by(recipients.c.state)
    )
    counted = await connection.execute(statement)
    return {RecipientState(state): count for state, count in counted if count}


async def next_due(connection: AsyncConnection, delivery_id: str) -> int | None:
    """When the next waiting recipient is due (microseconds), None if nobody waits."""
    statement = select(func.min(recipients.c.next_at)).where(
        recipients.c.delivery_id == delivery_id, recipients.c.state == RecipientState.PENDING
    )
    due: int | None = (await connection.execute(statement)).scalar_one()
    return due


async def expire(connection: AsyncConnection, delivery_id: str, *, detail: str, now: int) -> None:
    """Give up on who still waits."""
    await connection.execute(
        update(recipients)
        .where(
            recipients.c.delivery_id == delivery_id, recipients.c.state == RecipientState.PENDING
        )
        .values(state=RecipientState.REFUSED, code="expired", detail=detail, updated_at=now)
    )


async def touch(database: Database, delivery_id: str, *, now: int) -> None:
    """Remember when the people of a finished delivery were last written to; some at a time, so
    that nobody waits long for the database and a large list needs no memory."""
    last: str | None = ""
    while last is not None:
        async with database.write() as connection:
            ((ids, last),) = await _REACHED(connection, of=delivery_id, after=last)
            if last is not None:
                await _TOUCHED(connection, ids=database.packed(json.loads(ids)), now=now)


def _reached(*, postgresql: bool) -> Select[str, Any]:
    some = (
        select(recipients.c.contact_id)
        .where(
            recipients.c.delivery_id == bindparam("of"),
            recipients.c.contact_id > bindparam("after"),
            unindexed(recipients.c.state) == RecipientState.ACCEPTED,
        )
        .order_by(recipients.c.contact_id)
        .limit(TOUCHED_AT_ONCE)
        .subquery()
    )
    column = some.c.contact_id
    return select(texts_as_json(column, postgresql=postgresql), func.max(column))


def _touched(*, postgresql: bool) -> Update:
    some = among(contacts.c.id, "ids", postgresql=postgresql)
    return update(contacts).where(some).values(contacted_at=bindparam("now"))


_REACHED, _TOUCHED = Ready(_reached), Ready(_touched)
