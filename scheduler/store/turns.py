"""The turns of a broadcast at its recipients: claim some, look who is welcome, settle.

Every statement is fenced by `worker`, the token of the run that claimed the row.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import Any

from sqlalchemy import (
    Select,
    Text,
    Update,
    bindparam,
    case,
    cast,
    func,
    literal_column,
    or_,
    select,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql import ColumnElement

from scheduler.store.audience_tables import contacts, memberships, recipients, suppressions
from scheduler.store.db import Database, among, rows_as_json, texts_as_json, unindexed
from scheduler.store.ready import Ready, Steps, follow
from scheduler.store.recipients import SUBSCRIBED, Claimed, RecipientState, Settled


async def claim(
    database: Database,
    connection: AsyncConnection,
    *,
    delivery_id: str,
    token: str,
    list_id: str | None,
    now: int,
    limit: int,
) -> list[Claimed]:
    """Take up to `limit` recipients that are due, with what their mail needs. `list_id`: whose
    subscribers are welcome (None: having an address is enough)."""
    return await follow(
        connection,
        claiming(
            database, delivery_id=delivery_id, token=token, list_id=list_id, now=now, limit=limit
        ),
    )


def claiming(
    database: Database, *, delivery_id: str, token: str, list_id: str | None, now: int, limit: int
) -> Steps[list[Claimed]]:
    """The steps of `claim`."""
    due = DUE if list_id is None else DUE_LISTED
    wanted = {"of": delivery_id, "now": now, "limit": limit, "list": list_id}
    ((found,),) = yield due, wanted
    told = json.loads(found or "[]")
    if told:
        ids = database.packed([row[0] for row in told])
        yield TAKE, {"of": delivery_id, "by": token, "ids": ids, "now": now}
    return [
        Claimed(who, address, tries, name, language, _read(attributes), bool(welcome), tracking)
        for who, address, tries, name, language, attributes, welcome, tracking in told
    ]


def _due(*, postgresql: bool, listed: bool) -> Select[Any]:
    """All in one JSON text: fetched one by one, as many rows are as many times that SQLite's thread
    waits for Python's lock while the mails leave."""
    due: Any = (
        select(recipients.c.contact_id, recipients.c.address, recipients.c.tries)
        .where(
            recipients.c.delivery_id == bindparam("of"),
            recipients.c.state == RecipientState.PENDING,
            recipients.c.next_at <= bindparam("now"),
        )
        .order_by(recipients.c.next_at)
        .limit(bindparam("limit"))
    )
    if postgresql:
        due = due.with_for_update(skip_locked=True)
    due = due.cte("due")
    here = due.outerjoin(contacts, contacts.c.id == due.c.contact_id)
    welcome: ColumnElement[bool] = contacts.c.id.is_not(None)
    tracking: ColumnElement[str] = literal_column("''")
    if listed:
        at_list = memberships.c.list_id == bindparam("list")
        here = here.outerjoin(memberships, at_list & (memberships.c.contact_id == due.c.contact_id))
        welcome = welcome & (func.coalesce(memberships.c.state, "") == SUBSCRIBED)
        tracking = func.coalesce(memberships.c.tracking, "")
    row = (
        due.c.contact_id, due.c.address, due.c.tries,
        func.coalesce(contacts.c.name, ""), func.coalesce(contacts.c.language, ""),
        func.coalesce(cast(contacts.c.attributes, Text), ""), case((welcome, 1), else_=0),
        tracking,
    )  # fmt: skip
    return select(rows_as_json(*row, postgresql=postgresql)).select_from(here)


def _take(*, postgresql: bool) -> Update:
    return (
        update(recipients)
        .where(
            recipients.c.delivery_id == bindparam("of"),
            among(recipients.c.contact_id, "ids", postgresql=postgresql),
            unindexed(recipients.c.state) == RecipientState.PENDING,
        )
        .values(state=RecipientState.SENDING, worker=bindparam("by"), updated_at=bindparam("now"))
    )


DUE, DUE_LISTED = Ready(partial(_due, listed=False)), Ready(partial(_due, listed=True))
TAKE = Ready(_take)


def _read(attributes: str) -> Mapping[str, str]:
    return json.loads(attributes) if attributes not in {"", "{}"} else {}


async def subscribed(
    database: Database, connection: AsyncConnection, ids: Collection[str], list_id: str | None
) -> set[str]:
    """Who of these contacts still exists and, with a list, is still subscribed to it."""
    asked = THERE if list_id is None else SUBSCRIBERS
    ((found,),) = await asked(connection, ids=database.packed(ids), list=list_id)
    return set(json.loads(found or "[]"))


def _subscribed(*, postgresql: bool, listed: bool) -> Select[Any]:
    asked = partial(among, name="ids", postgresql=postgresql)
    if not listed:
        return select(texts_as_json(contacts.c.id, postgresql=postgresql)).where(
            asked(contacts.c.id)
        )
    return select(texts_as_json(memberships.c.contact_id, postgresql=postgresql)).where(
        memberships.c.list_id == bindparam("list"),
        asked(memberships.c.contact_id),
        unindexed(memberships.c.state) == SUBSCRIBED,
    )


THERE = Ready(partial(_subscribed, listed=False))
SUBSCRIBERS = Ready(partial(_subscribed, listed=True))


def barring(database: Database, hashes: Collection[str]) -> Steps[set[str]]:
    """Which of these keyed hashes are on the never-again list."""
    found = yield _BARRED, {"hashes": database.packed(hashes)}
    return {row[0] for row in found}


def _suppressed(*, postgresql: bool) -> Select[Any]:
    asked = among(suppressions.c.hash, "hashes", postgresql=postgresql)
    return select(suppressions.c.hash).where(asked)


_BARRED = Ready(_suppressed)


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


def accepting(
    database: Database,
    *,
    delivery_id: str,
    token: str,
    taken: Mapping[str, Collection[str]],
    now: int,
) -> Steps[None]:
    """Record whose mails were accepted, by the code of the answer: what `settle` does, for most
    of a run's recipients."""
    for code, contact_ids in taken.items():
        ids = database.packed(contact_ids)
        yield ACCEPT, {"of": delivery_id, "by": token, "ids": ids, "said": code[:64], "now": now}


def _accept(*, postgresql: bool) -> Update:
    state = unindexed(recipients.c.state)
    return (
        update(recipients)
        .where(
            recipients.c.delivery_id == bindparam("of"),
            among(recipients.c.contact_id, "ids", postgresql=postgresql),
            recipients.c.worker == bindparam("by"),
            or_(state == RecipientState.SENDING, state == RecipientState.UNCERTAIN),
        )
        .values(
            state=RecipientState.ACCEPTED,
            code=bindparam("said"),
            detail="",
            tries=recipients.c.tries + 1,
            updated_at=bindparam("now"),
        )
    )


ACCEPT = Ready(_accept)
