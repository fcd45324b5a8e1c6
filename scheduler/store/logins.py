"""Logins under way: one row each, which goes one step at a time and never back."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from sqlalchemy import RowMapping, delete, insert, update

from scheduler.store.db import Connection
from scheduler.store.platform_tables import logins


class Step(StrEnum):
    """`BEGUN`: nobody has followed the link yet. `ASKED`: the platform asks the person.
    `RETURNED`: the browser came back, its code is used up."""

    BEGUN = "begun"
    ASKED = "asked"
    RETURNED = "returned"


async def add(connection: Connection, row: Mapping[str, Any], now: int) -> None:
    """Begin one; those whose time is over are forgotten, with all they brought."""
    await connection.execute(delete(logins).where(logins.c.expires_at <= now))
    await connection.execute(insert(logins), dict(row))


async def advance(
    connection: Connection, login_id: str, before: Step, after: Step, now: int
) -> RowMapping | None:
    """Take this step, once; None when it was taken before, or its time is over."""
    statement = (
        update(logins)
        .where(logins.c.id == login_id, logins.c.step == before, logins.c.expires_at > now)
        .values(step=after)
        .returning(*logins.c)
    )
    return (await connection.execute(statement)).mappings().one_or_none()


async def keep(connection: Connection, login_id: str, candidates: bytes) -> None:
    """What the login brought, sealed."""
    await connection.execute(
        update(logins).where(logins.c.id == login_id).values(candidates=candidates)
    )


async def take(connection: Connection, login_id: str, now: int) -> RowMapping | None:
    """What the login brought, once: the row is gone after it."""
    statement = (
        delete(logins)
        .where(
            logins.c.id == login_id,
            logins.c.step == Step.RETURNED,
            logins.c.candidates.is_not(None),
            logins.c.expires_at > now,
        )
        .returning(*logins.c)
    )
    return (await connection.execute(statement)).mappings().one_or_none()
