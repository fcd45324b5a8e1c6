"""Accounts as the engine reads and marks them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import RowMapping, or_, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from channels.outcome import HealthStatus
from scheduler.limits import PASSING, AccountSign, Sign
from scheduler.store.db import Database
from scheduler.store.tables import accounts

# Ended by a probe or a person.
_GRAVE = {HealthStatus.ACCESS_LOST, HealthStatus.VANISHED}


# Differs whenever an account was added or changed: `updated_at` grows with each change, and no row
# is ever taken away. In two halves: one sum would overflow with some thousand accounts.
VERSION = (
    "SELECT coalesce(sum(updated_at / 1000000000), 0) || '.' "
    "|| coalesce(sum(updated_at % 1000000000), 0) FROM accounts"
)


async def version(database: Database) -> str:
    """See `VERSION`."""
    async with database.read() as connection:
        return str((await connection.execute(text(VERSION))).scalar_one())


async def rows_of(database: Database, ids: Sequence[str] | None) -> Sequence[RowMapping]:
    """The rows of these accounts, or of all that are not archived."""
    statement = select(accounts)
    if ids is None:
        statement = statement.where(accounts.c.archived_at.is_(None))
    else:
        statement = statement.where(accounts.c.id.in_(ids))
    async with database.read() as connection:
        return (await connection.execute(statement.order_by(accounts.c.id))).mappings().all()


async def anyone(database: Database) -> bool:
    """Whether an account is connected."""
    statement = select(accounts.c.id).where(accounts.c.archived_at.is_(None)).limit(1)
    async with database.read() as connection:
        return (await connection.execute(statement)).first() is not None


async def narrow(
    database: Database, *, places: int, failures: int
) -> Sequence[tuple[str, int, int]]:
    """Accounts that take fewer requests at once than `places`, or had as many failures in a row:
    id, `max_concurrent`, `failures`."""
    statement = select(accounts.c.id, accounts.c.max_concurrent, accounts.c.failures).where(
        or_(accounts.c.max_concurrent < places, accounts.c.failures >= failures)
    )
    async with database.read() as connection:
        return [(row[0], row[1], row[2]) for row in await connection.execute(statement)]


async def apply_signs(
    connection: AsyncConnection, signs: Mapping[str, AccountSign], now: int
) -> list[str]:
    """Mark these accounts (by id), in one order whoever does it; those whose status or pause
    changed (the fact is new)."""
    return [each for each in sorted(signs) if await _apply(connection, each, signs[each], now)]


async def _apply(connection: AsyncConnection, account_id: str, sign: AccountSign, now: int) -> bool:
    row = (
        await connection.execute(
            select(
                accounts.c.status,
                accounts.c.status_reason,
                accounts.c.paused_until,
                accounts.c.suspected_at,
                accounts.c.updated_at,
            )
            .where(accounts.c.id == account_id)
            .with_for_update(key_share=True)  # deliveries may be added meanwhile
        )
    ).one()
    values: dict[str, object] = {"updated_at": max(now, row.updated_at + 1)}
    if sign.failures is not None:
        values["failures"] = sign.failures
    changed = False
    if sign.paused_until is not None and sign.paused_until > (row.paused_until or 0):
        values |= {"paused_until": sign.paused_until, "pause_reason": sign.reason}
        changed = True
    if sign.reason == "suspected" and row.suspected_at is None:
        values["suspected_at"] = now
    # A send beside the one that lost access takes nothing back of what that one found.
    lighter = sign.sign is not Sign.ACCESS_LOST and row.status in _GRAVE
    stands = lighter or (sign.sign is Sign.WELL and row.status not in PASSING)
    new = (sign.status, sign.reason) != (row.status, row.status_reason)
    if sign.status is not None and new and not stands:
        values |= {
            "status": sign.status,
            "status_reason": sign.reason,
            "status_detail": sign.detail,
            "status_since": now,
        }
        changed = True
    await connection.execute(update(accounts).where(accounts.c.id == account_id).values(**values))
    return changed


async def reserve_slots(
    connection: AsyncConnection, account_id: str, *, count: int, gap_us: int, now: int
) -> int:
    """Reserve `count` send times at least `gap_us` apart, shared by all workers; the first one."""
    row = (
        await connection.execute(
            select(accounts.c.next_at, accounts.c.updated_at)
            .where(accounts.c.id == account_id)
            .with_for_update()
        )
    ).one()
    first: int = max(now, row.next_at or 0)
    await connection.execute(
        update(accounts).where(accounts.c.id == account_id).values(next_at=first + count * gap_us)
    )
    return first
