"""Who is told of alerts: hooks, their calls, and which alerts are still to be told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import uuid_utils
from sqlalchemy import RowMapping, insert, literal_column, or_, select, union, update

from scheduler.alerts import Alert
from scheduler.store.alert_tables import alerts, hook_calls, hooks
from scheduler.store.db import Connection, Database
from scheduler.store.tables import accounts, posts

# Written out as in the index: a parameter would hide it.
_NEWS = alerts.c.severity == literal_column("'info'")

# A vanished page's alert is the only one for its queue: it waits until that has moved, so that it
# names what was left behind; no longer than this (microseconds).
_QUEUE_MOVES = 60_000_000


async def untold(database: Database, before: int, limit: int = 200) -> list[Alert]:
    """Alerts nobody was told of, opened before that moment, oldest first. What was resolved
    meanwhile needs no telling."""
    # One small index each.
    found = union(
        *(
            select(alerts.c.id).where(alerts.c.notified_at.is_(None), one)
            for one in (alerts.c.resolved_at.is_(None), _NEWS)
        )
    )
    post_id = alerts.c.data["post_id"].as_string()
    account_id = alerts.c.data["account_id"].as_string()
    statement = (
        select(
            alerts.c.id, alerts.c.kind, alerts.c.severity, alerts.c.data,
            posts.c.title.label("post"), accounts.c.name.label("account"),
        )
        .outerjoin(posts, posts.c.id == post_id)
        .outerjoin(accounts, accounts.c.id == account_id)
        .where(
            alerts.c.id.in_(select(found.subquery())),
            alerts.c.created_at <= before,
            or_(
                alerts.c.kind != "account.vanished",
                alerts.c.data["moved"].as_string().is_not(None),
                alerts.c.created_at <= before - _QUEUE_MOVES,
            ),
        )
        .order_by(alerts.c.created_at + 0, alerts.c.id)  # those few are sorted, not looked for
        .limit(limit)
    )  # fmt: skip
    async with database.read() as connection:
        rows = (await connection.execute(statement)).mappings().all()
    return [
        Alert(
            id=row["id"], kind=row["kind"], severity=row["severity"], data=row["data"],
            post=row["post"] or "", account=row["account"] or "",
        )
        for row in rows
    ]  # fmt: skip


async def mark_told(database: Database, ids: Sequence[str], now: int) -> None:
    async with database.write() as connection:
        await connection.execute(
            update(alerts).where(alerts.c.id.in_(list(ids))).values(notified_at=now)
        )


async def listed(connection: Connection, *, resolved: bool, limit: int) -> Sequence[RowMapping]:
    """Alerts, newest first; with those that are over if `resolved`."""
    statement = select(alerts).order_by(alerts.c.created_at.desc(), alerts.c.id.desc())
    if not resolved:
        statement = statement.where(alerts.c.resolved_at.is_(None))
    return (await connection.execute(statement.limit(limit))).mappings().all()


async def add_hook(
    connection: Connection, *, url: str, secret: bytes, kinds: Sequence[str], now: int
) -> str:
    """`secret`: sealed; `kinds`: of alerts, all if empty. Its id."""
    hook_id = str(uuid_utils.uuid7())
    await connection.execute(
        insert(hooks).values(id=hook_id, url=url, secret=secret, kinds=list(kinds), created_at=now)
    )
    return hook_id


async def all_hooks(connection: Connection) -> Sequence[RowMapping]:
    """Hooks that are called, oldest first."""
    statement = select(hooks).where(hooks.c.disabled_at.is_(None)).order_by(hooks.c.id)
    return (await connection.execute(statement)).mappings().all()


async def disable_hook(connection: Connection, hook_id: str, now: int) -> bool:
    """No more calls; those that wait are dropped. False when there was no such hook."""
    result = await connection.execute(
        update(hooks)
        .where(hooks.c.id == hook_id, hooks.c.disabled_at.is_(None))
        .values(disabled_at=now)
    )
    await connection.execute(
        update(hook_calls)
        .where(hook_calls.c.hook_id == hook_id, hook_calls.c.done_at.is_(None))
        .values(done_at=now, detail="its hook was removed")
    )
    return result.rowcount > 0


async def queue_calls(database: Database, rows: Sequence[dict[str, Any]]) -> None:
    """Calls to make; a row whose id is there already is left alone."""
    if not rows:
        return
    statement = database.insert(hook_calls).on_conflict_do_nothing(index_elements=["id"])
    async with database.write() as connection:
        await connection.execute(statement, list(rows))


async def due_calls(database: Database, now: int, limit: int = 50) -> Sequence[RowMapping]:
    """Calls whose time has come, with `url` and `secret` of their hook."""
    statement = (
        select(hook_calls, hooks.c.url, hooks.c.secret)
        .join(hooks, hooks.c.id == hook_calls.c.hook_id)
        .where(hook_calls.c.done_at.is_(None), hook_calls.c.next_at <= now)
        .order_by(hook_calls.c.next_at, hook_calls.c.id)
        .limit(limit)
    )
    async with database.read() as connection:
        return (await connection.execute(statement)).mappings().all()


async def write_call(
    database: Database,
    call_id: str,
    *,
    status: int | None,
    detail: str,
    next_at: int | None,
    now: int,
) -> None:
    """What one call came to; `next_at` None: it is over."""
    async with database.write() as connection:
        await connection.execute(
            update(hook_calls)
            .where(hook_calls.c.id == call_id)
            .values(
                tries=hook_calls.c.tries + 1,
                status=status,
                detail=detail[:2000],
                next_at=next_at,
                done_at=now if next_at is None else None,
            )
        )
