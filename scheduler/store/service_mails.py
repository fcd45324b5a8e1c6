"""Mails about a subscription itself: asked for here, sent by a worker.

One of a kind, list and person at most, so that a form filled in a hundred times writes once.
"""

from __future__ import annotations

from sqlalchemy import RowMapping, Update, delete, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from scheduler.store.audience_tables import contacts, lists, service_mails
from scheduler.store.db import Database


async def ask(
    connection: AsyncConnection,
    database: Database,
    *,
    contact_id: str,
    list_id: str,
    kind: str,
    language: str,
    now: int,
    again_after: int,
) -> None:
    """Have a mail sent, unless the same was sent within the last `again_after` microseconds."""
    row = {
        "list_id": list_id,
        "contact_id": contact_id,
        "kind": kind,
        "language": language,
        "next_at": now,
    }
    fresh = {"language": language, "next_at": now, "tries": 0, "sent_at": None, "detail": ""}
    await connection.execute(
        database.insert(service_mails)
        .values(row)
        .on_conflict_do_update(
            index_elements=["list_id", "contact_id", "kind"],
            set_=fresh,
            where=service_mails.c.sent_at < now - again_after,
        )
    )


async def claim(database: Database, *, now: int, until: int, limit: int) -> list[RowMapping]:
    """Take the mails that are due, with the `email` and `name` of their reader and the list's
    `list_name`; nobody else takes them before `until`."""
    due = (
        select(
            service_mails,
            contacts.c.email,
            contacts.c.name,
            lists.c.name.label("list_name"),
        )
        .join(contacts, contacts.c.id == service_mails.c.contact_id)
        .join(lists, lists.c.id == service_mails.c.list_id)
        .where(service_mails.c.sent_at.is_(None), service_mails.c.next_at <= now)
        .order_by(service_mails.c.next_at)
        .limit(limit)
    )
    if database.is_postgresql:
        due = due.with_for_update(skip_locked=True, of=service_mails)
    async with database.write() as connection:
        rows = list((await connection.execute(due)).mappings().all())
        for row in rows:
            await connection.execute(
                _one(row).values(next_at=until, tries=service_mails.c.tries + 1)
            )
    return rows


async def sent(connection: AsyncConnection, row: RowMapping, *, now: int) -> None:
    await connection.execute(_one(row).values(sent_at=now, detail=""))


async def later(connection: AsyncConnection, row: RowMapping, *, next_at: int, detail: str) -> None:
    await connection.execute(_one(row).values(next_at=next_at, detail=detail[:500]))


async def drop(connection: AsyncConnection, row: RowMapping) -> None:
    """It will never be sent: the address is none."""
    await connection.execute(
        delete(service_mails).where(
            service_mails.c.list_id == row["list_id"],
            service_mails.c.contact_id == row["contact_id"],
            service_mails.c.kind == row["kind"],
        )
    )


def _one(row: RowMapping) -> Update:
    return update(service_mails).where(
        service_mails.c.list_id == row["list_id"],
        service_mails.c.contact_id == row["contact_id"],
        service_mails.c.kind == row["kind"],
    )
