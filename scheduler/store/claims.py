"""Claims on deliveries: who may send what, for how long, and who takes over.

The claim is what makes a send happen once: one statement flips rows from scheduled to armed,
giving them a token that fences every later write.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import NamedTuple

from sqlalchemy import (
    ColumnElement,
    RowMapping,
    Select,
    delete,
    func,
    or_,
    select,
    union_all,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from channels.posts import Part
from scheduler.deliveries import FINAL, Delivery, HoldReason, State
from scheduler.store.bulk import FencedUpdates
from scheduler.store.db import Database
from scheduler.store.states import CLAIMED, SCHEDULED, WAITING
from scheduler.store.tables import accounts, deliveries, leases, workers

CHUNK = 500

COLUMNS = tuple(
    deliveries.c[name] for name in Delivery.__dataclass_fields__ if name in deliveries.c
)


class Crowded(NamedTuple):
    """Those of whom a worker has armed its share: it claims no more of theirs for now."""

    accounts: Collection[str] = ()
    adapters: Collection[str] = ()


NOBODY = Crowded()

_renew = FencedUpdates(deliveries, ("lease_until",))
_release = FencedUpdates(
    deliveries,
    ("updated_at",),
    fixed="state = 'scheduled', token = NULL, worker = NULL, lease_until = NULL",
    only="d.state = 'armed'",
)


def to_delivery(row: RowMapping) -> Delivery:
    """A `Delivery` from a row mapping with the columns of its fields."""
    return Delivery(
        id=row["id"],
        post_id=row["post_id"],
        account_id=row["account_id"],
        part=Part(row["part"]),
        state=State(row["state"]),
        due_at=row["due_at"],
        planned_at=row["planned_at"],
        deadline_at=row["deadline_at"],
        token=row["token"],
        worker=row["worker"],
        lease_until=row["lease_until"],
        attempt=row["attempt"],
        tries=row["tries"],
        first_sent_at=row["first_sent_at"],
        look_at=row["look_at"],
        looks=row["looks"],
        hold_reason=None if row["hold_reason"] is None else HoldReason(row["hold_reason"]),
        cause=row["cause"],
        parent_id=row["parent_id"],
        origin_id=row["origin_id"],
        remote_id=row["remote_id"],
        url=row["url"],
        trace=row["trace"],
    )


async def claim_due(
    database: Database,
    *,
    horizon: int,
    worker: str,
    token: str,
    lease_until: int,
    now: int,
    limit: int = CHUNK,
    crowded: Crowded = NOBODY,
) -> list[Delivery]:
    """Arm up to `limit` scheduled deliveries due by `horizon`, earliest first; committed on
    return, so that intent is durable before anything leaves."""
    some = _due(database, horizon, crowded, now)
    due = some.order_by(deliveries.c.due_at, deliveries.c.id).limit(limit)
    if database.is_postgresql:
        due = due.with_for_update(skip_locked=True)
    statement = (
        update(deliveries)
        .where(deliveries.c.id.in_(due.scalar_subquery()))
        .values(
            state=State.ARMED,
            token=token,
            worker=worker,
            lease_until=lease_until,
            attempt=deliveries.c.attempt + 1,
            updated_at=now,
        )
        .returning(*COLUMNS)
    )
    async with database.write() as connection:
        rows = (await connection.execute(statement)).mappings().all()
    return [to_delivery(row) for row in rows]


async def any_due(database: Database, horizon: int, crowded: Crowded = NOBODY, *, now: int) -> bool:
    """Whether a claim would find something: a read, so that idle workers take no write lock."""
    statement = _due(database, horizon, crowded, now).order_by(deliveries.c.due_at).limit(1)
    async with database.read() as connection:
        return (await connection.execute(statement)).first() is not None


def _due(database: Database, horizon: int, crowded: Crowded, now: int) -> Select[tuple[str]]:
    due = select(deliveries.c.id).where(
        SCHEDULED,
        deliveries.c.due_at <= horizon,
        # Its post is not there before its time: claimed ahead, it could only be put off.
        or_(deliveries.c.part != Part.FIRST_COMMENT, deliveries.c.due_at <= now),
    )
    if crowded.accounts:
        due = due.where(deliveries.c.account_id.not_in(database.each(crowded.accounts)))
    if crowded.adapters:
        theirs = select(accounts.c.id).where(
            accounts.c.adapter.in_(database.each(crowded.adapters))
        )
        due = due.where(deliveries.c.account_id.not_in(theirs))
    return due


async def renew(database: Database, held: Iterable[tuple[str, str]], *, lease_until: int) -> None:
    """Extend the lease of (id, token) pairs that are still ours."""
    rows = [(delivery, token, lease_until) for delivery, token in held]
    async with database.write() as connection:
        await _renew(connection, rows)


async def release(connection: AsyncConnection, held: Iterable[tuple[str, str]], *, now: int) -> int:
    """Give armed rows that were certainly not sent back to everyone; returns how many."""
    rows = [(delivery, token, now) for delivery, token in held]
    return len(await _release(connection, rows))


async def release_all(database: Database, tokens: Iterable[str], *, now: int) -> None:
    """Give back whatever is still armed under these tokens; none of it may have been sent."""
    ours = CLAIMED & deliveries.c.token.in_(list(tokens))
    async with database.write() as connection:
        await lock(database, connection, ours)
        await connection.execute(
            update(deliveries)
            .where(ours, deliveries.c.state == State.ARMED)
            .values(
                state=State.SCHEDULED, token=None, worker=None, lease_until=None, updated_at=now
            )
        )


async def heartbeat(
    database: Database, *, worker: str, host: str, pid: int, started_at: int, now: int
) -> None:
    insert = database.insert(workers).values(
        id=worker, host=host, pid=pid, started_at=started_at, heartbeat_at=now, stopping=False
    )
    async with database.write() as connection:
        await connection.execute(
            insert.on_conflict_do_update(index_elements=["id"], set_={"heartbeat_at": now})
        )


async def retire(database: Database, worker: str) -> None:
    """Forget a worker that left in good order."""
    async with database.write() as connection:
        await connection.execute(delete(workers).where(workers.c.id == worker))


def living(since: int, until: int) -> Select[tuple[str]]:
    """Workers whose last sign of life lies between these. One from the future is no sign of life:
    clocks were put back, and who gave it may be dead by now."""
    return select(workers.c.id).where(workers.c.heartbeat_at.between(since, until))


async def alive(database: Database, *, now: int, within_us: int) -> int:
    """How many workers gave a sign of life in the last so many microseconds."""
    those = living(now - within_us, now + within_us).subquery()
    statement = select(func.count()).select_from(those)
    async with database.read() as connection:
        return int((await connection.execute(statement)).scalar_one())


async def take_lease(
    database: Database, name: str, holder: str, *, now: int, until: int, alive_since: int
) -> bool:
    """Take or renew a named lease; True while `holder` has it. A holder without a sign of life
    since `alive_since` has lost it, however long its term."""
    alive = living(alive_since, now + (now - alive_since))
    insert = database.insert(leases).values(name=name, holder=holder, expires_at=until)
    async with database.write() as connection:
        result = await connection.execute(
            insert.on_conflict_do_update(
                index_elements=["name"],
                set_={"holder": holder, "expires_at": until},
                where=or_(
                    leases.c.holder == holder,
                    leases.c.expires_at < now,
                    leases.c.holder.not_in(alive),
                ),
            )
        )
        return bool(result.rowcount)


async def depth(database: Database) -> dict[str, int]:
    """How many deliveries are in each state that is neither final nor scheduled, 0 included: a
    measure that is not said any more keeps its last value."""
    statement = union_all(  # one index each
        *(
            select(deliveries.c.state, func.count()).where(some).group_by(deliveries.c.state)
            for some in (CLAIMED, WAITING)
        )
    )
    async with database.read() as connection:
        counted = {row[0]: row[1] for row in await connection.execute(statement)}
    others = (state.value for state in State if state not in {*FINAL, State.SCHEDULED})
    return dict.fromkeys(others, 0) | counted


async def planned(database: Database) -> int:
    """How many deliveries are scheduled; it takes the longer, the more there are."""
    # All of them have a due time: asking for it leads SQLite to the small index.
    statement = select(func.count()).where(SCHEDULED, deliveries.c.due_at > 0)
    async with database.read() as connection:
        return int((await connection.execute(statement)).scalar_one())


async def lock(
    database: Database, connection: AsyncConnection, condition: ColumnElement[bool]
) -> None:
    """Lock what is to be changed, in the order of all who change many (see `FencedUpdates`): else
    two of them could wait for each other."""
    if database.is_postgresql:
        some = select(deliveries.c.id).where(condition).order_by(deliveries.c.id)
        await connection.execute(some.with_for_update(key_share=True))
