"""Answers already given, by token and Idempotency-Key: asking again changes nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from scheduler.store.access_tables import idempotency_keys
from scheduler.store.db import Database


@dataclass(frozen=True, slots=True)
class Given:
    """The answer that was given under a key, and the fingerprint of what was asked."""

    fingerprint: str
    status: int
    body: Any


Key = tuple[str, str]  # token id, key


async def find(connection: AsyncConnection, keys: Sequence[Key]) -> dict[Key, Given]:
    """The answers already given under these keys."""
    table = idempotency_keys.c
    statement = select(idempotency_keys).where(tuple_(table.token_id, table.key).in_(keys))
    rows = (await connection.execute(statement)).mappings()
    return {
        (row["token_id"], row["key"]): Given(row["fingerprint"], row["status"], row["body"])
        for row in rows
    }


async def keep(
    connection: AsyncConnection, database: Database, rows: Sequence[Mapping[str, Any]]
) -> set[Key]:
    """Store answers (full rows); the keys that were free. A key that another transaction is
    storing waits for it to end, then is not free."""
    ordered = sorted(rows, key=lambda row: (row["token_id"], row["key"]))
    statement = (
        database.insert(idempotency_keys)
        .on_conflict_do_nothing()
        .returning(idempotency_keys.c.token_id, idempotency_keys.c.key)
    )
    result = await connection.execute(statement, ordered)
    return {(row.token_id, row.key) for row in result}


async def forget(connection: AsyncConnection, before: int, *, limit: int) -> int:
    """Drop up to `limit` answers given before this moment (microseconds since 1970); how many."""
    table = idempotency_keys.c
    some = (
        select(table.token_id, table.key)
        .where(table.created_at < before)
        .order_by(table.created_at)
        .limit(limit)
    )
    statement = delete(idempotency_keys).where(tuple_(table.token_id, table.key).in_(some))
    return (await connection.execute(statement)).rowcount
