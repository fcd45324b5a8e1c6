"""What was tried and what happened, packed away a post at a time once it is long over.

Posts and deliveries stay where they are: lists, reroutes and the promise that no account carries a
post twice go by them. Their attempts and events, which are most of the rows and of the bytes, move
into one compressed row a post, and are read from there as before.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import RowMapping, case, delete, func, select

from scheduler.deliveries import FINAL
from scheduler.store.db import Connection, Database
from scheduler.store.tables import attempts, deliveries, events, histories

Lines = Sequence[Mapping[Any, Any]]


async def oldest(
    database: Database, *, before: int, after: int, limit: int
) -> tuple[list[str], int | None]:
    """Posts among the next `limit` attempts after the attempt `after` that were over before this
    moment (microseconds since 1970), and the attempt to go on after; None at the end."""
    statement = (
        select(attempts.c.id, attempts.c.finished_at, deliveries.c.post_id)
        .join(deliveries, deliveries.c.id == attempts.c.delivery_id)
        .where(attempts.c.id > after)
        .order_by(attempts.c.id)
        .limit(limit)
    )
    async with database.read() as connection:
        rows = (await connection.execute(statement)).all()
        old = [row for row in rows if row.finished_at < before]
        over = await _over(connection, sorted({row.post_id for row in old}), before)
    more = len(rows) == limit and len(old) == len(rows)
    return over, rows[-1].id if more else None


async def _over(connection: Connection, post_ids: Sequence[str], before: int) -> list[str]:
    """Of these posts, those whose deliveries all ended before then."""
    going_on = case(
        (deliveries.c.state.not_in(FINAL), 1),
        (func.coalesce(deliveries.c.finished_at, deliveries.c.updated_at) >= before, 1),
        else_=0,
    )
    statement = (
        select(deliveries.c.post_id)
        .where(deliveries.c.post_id.in_(post_ids))
        .group_by(deliveries.c.post_id)
        .having(func.max(going_on) == 0)
    )
    return list((await connection.execute(statement)).scalars())


async def pack(database: Database, post_ids: Sequence[str], now: int) -> int:
    """Move what there is of these posts, in one transaction; how many rows moved. What is added
    later stands beside it until it is packed too."""
    tried = (
        select(deliveries.c.post_id, attempts)
        .join(deliveries, deliveries.c.id == attempts.c.delivery_id)
        .where(
            deliveries.c.post_id.in_(post_ids),
            # The newest row stays, or SQLite would give its number again.
            attempts.c.id < select(func.max(attempts.c.id)).scalar_subquery(),
        )
        .order_by(attempts.c.id)
        .with_for_update(of=attempts)
    )
    happened = (
        select(events)
        .where(
            events.c.post_id.in_(post_ids),
            events.c.seq < select(func.max(events.c.seq)).scalar_subquery(),
        )
        .order_by(events.c.seq)
        .with_for_update()
    )
    async with database.write() as connection:
        told: dict[str, dict[str, list[dict[str, Any]]]] = {}
        for name, statement in (("attempts", tried), ("events", happened)):
            for row in (await connection.execute(statement)).mappings():
                line = dict(row)
                post_id = line["post_id"] if name == "events" else line.pop("post_id")
                told.setdefault(post_id, {"attempts": [], "events": []})[name].append(line)
        if not told:
            return 0
        ids = [line["id"] for lines in told.values() for line in lines["attempts"]]
        numbers = [line["seq"] for lines in told.values() for line in lines["events"]]
        for post_id, before in (await _unpacked(connection, told)).items():
            told[post_id] = {name: [*before[name], *told[post_id][name]] for name in before}
        insert = database.insert(histories)
        await connection.execute(
            insert.on_conflict_do_update(
                index_elements=["post_id"],
                set_={"lines": insert.excluded.lines, "packed_at": now},
            ),
            [
                {
                    "post_id": post_id,
                    "lines": zlib.compress(json.dumps(lines, separators=(",", ":")).encode()),
                    "packed_at": now,
                }
                for post_id, lines in told.items()
            ],
        )
        await connection.execute(delete(attempts).where(attempts.c.id.in_(ids)))
        await connection.execute(delete(events).where(events.c.seq.in_(numbers)))
        return len(ids) + len(numbers)


async def packed(connection: Connection, post_ids: Iterable[str], name: str) -> Lines:
    """`attempts` or `events` of these posts that were packed away, in order."""
    found = await _unpacked(connection, post_ids)
    return [line for lines in found.values() for line in lines[name]]


async def _unpacked(
    connection: Connection, post_ids: Iterable[str]
) -> dict[str, dict[str, list[dict[str, Any]]]]:
    statement = (
        select(histories.c.post_id, histories.c.lines)
        .where(histories.c.post_id.in_(list(post_ids)))
        .order_by(histories.c.post_id)
    )
    rows: Sequence[RowMapping] = (await connection.execute(statement)).mappings().all()
    return {row["post_id"]: json.loads(zlib.decompress(row["lines"])) for row in rows}
