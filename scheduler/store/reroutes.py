"""What plan B reads and writes: routes, siblings of a delivery, children."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import uuid_utils
from sqlalchemy import Select, func, insert, or_, select

from channels.posts import Kind, Part
from scheduler.deliveries import Delivery, State
from scheduler.reroute import HOUR, Mode, Route
from scheduler.store.absences import waits_for_its_page
from scheduler.store.claims import to_delivery
from scheduler.store.db import Connection, Database, unindexed
from scheduler.store.heads import Place, first_of
from scheduler.store.plan_b_tables import digest_items, digests
from scheduler.store.posts import refuse_archived
from scheduler.store.routes import effective, own_sites, stored
from scheduler.store.states import ended_since, indexed
from scheduler.store.tables import deliveries, events, posts

AT_ONCE = 500
# Of reroutes to an account, those that reached it or may still.
_COUNTED = sorted(set(State) - {State.CANCELLED, State.REROUTED, State.FAILED})


async def route_of(connection: Connection, account_id: str) -> Route:
    """The account's plan B: its owner's, else the default one."""
    fallbacks = (await effective(connection)).get(account_id, ())
    written = (await stored(connection)).get(account_id)
    rules: Mapping[str, Any] = {} if written is None else written["rules"]
    sites: tuple[str, ...] = ()
    if rules.get("last_resort", False):
        own = await own_sites(connection)
        sites = tuple(one for one in own if one not in fallbacks and one != account_id)
    plain = Route()
    return Route(
        fallbacks=(*fallbacks, *sites),
        rules={Kind(kind): Mode(mode) for kind, mode in rules.get("kinds", {}).items()},
        note=rules.get("note", ""),
        digest_hour=rules.get("digest_hour", plain.digest_hour),
        worth_us=rules.get("worth_hours", plain.worth_us // HOUR) * HOUR,
        weekly_mails=rules.get("weekly_mails", plain.weekly_mails),
        last_resort=frozenset(sites),
        day_us=int((rules.get("day_seconds") or 0) * 1_000_000),
    )


async def siblings_of(connection: Connection, post_id: str) -> list[Delivery]:
    """Every delivery of the post."""
    statement = select(deliveries).where(deliveries.c.post_id == post_id)
    return [to_delivery(row) for row in (await connection.execute(statement)).mappings()]


async def delivery(connection: Connection, delivery_id: str) -> Delivery | None:
    statement = select(deliveries).where(deliveries.c.id == delivery_id)
    row = (await connection.execute(statement)).mappings().first()
    return None if row is None else to_delivery(row)


async def queue_of(database: Database, account_id: str) -> AsyncIterator[list[Delivery]]:
    """What still waits for this account, in the order it would have gone out, some at a time."""
    after: Place | None = None
    while True:
        found = await queue_page(database, account_id, after=after, limit=AT_ONCE)
        if found:
            yield found
            after = found[-1].due_at, found[-1].id
        if len(found) < AT_ONCE:
            return


async def queue_page(
    database: Database, account_id: str, *, after: Place | None, limit: int
) -> list[Delivery]:
    """The first of that queue, or those after a place in it."""
    queue = [[deliveries.c.account_id == account_id, *one] for one in waits_for_its_page()]
    statement = (
        select(deliveries)
        .where(deliveries.c.id.in_(first_of(queue, after=after, limit=limit)))
        .order_by(deliveries.c.due_at + 0, deliveries.c.id)  # those few are sorted, not looked for
        .limit(limit)
    )
    async with database.read() as connection:
        rows = (await connection.execute(statement)).mappings().all()
    return [to_delivery(row) for row in rows]


async def post_row(connection: Connection, post_id: str) -> Any:
    return (await connection.execute(select(posts).where(posts.c.id == post_id))).mappings().one()


async def add_child(
    connection: Connection,
    parent: Delivery,
    account_id: str,
    *,
    now: int,
    cause: str,
    part: Part = Part.POST,
    due_at: int = 0,
    trace: str | None = None,
) -> str:
    """A scheduled delivery of the same post on another account, not before `due_at`; its id.
    `trace`: of what made it, if that is traced. Error: ArchivedError."""
    child_id = str(uuid_utils.uuid7())
    due_at = max(now, parent.due_at, due_at)
    deadline = parent.deadline_at if (parent.deadline_at or 0) > now else None
    await connection.execute(
        insert(deliveries).values(
            id=child_id,
            post_id=parent.post_id,
            account_id=account_id,
            part=part,
            state=State.SCHEDULED,
            due_at=due_at,
            planned_at=due_at,
            deadline_at=deadline,
            parent_id=parent.id,
            origin_id=parent.origin_id or parent.id,
            trace=trace or parent.trace,
            cause=cause,
            created_at=now,
            updated_at=now,
        )
    )
    await refuse_archived(connection, [account_id])
    return child_id


async def child_of(connection: Connection, parent_id: str) -> Delivery | None:
    """The delivery that this one was rerouted to, locked; None when it has none that counts."""
    statement = (
        select(deliveries)
        .where(deliveries.c.parent_id == parent_id, deliveries.c.state != State.CANCELLED)
        .with_for_update()
    )
    row = (await connection.execute(statement)).mappings().first()
    return None if row is None else to_delivery(row)


async def covered_by(connection: Connection, post_id: str, account_id: str) -> list[Delivery]:
    """The post's deliveries that took no road of their own since `account_id` carried it."""
    told = events.alias()
    last = (
        select(func.max(told.c.seq))
        .where(
            told.c.post_id == post_id,
            told.c.delivery_id == deliveries.c.id,
            told.c.kind == "delivery.rerouted",
        )
        .correlate(deliveries)
        .scalar_subquery()
    )
    statement = (
        select(deliveries, events.c.data.label("road"))
        .select_from(deliveries.join(events, events.c.seq == last))
        .where(
            deliveries.c.post_id == post_id,
            deliveries.c.state == State.REROUTED,
            deliveries.c.part == Part.POST,
        )
        .order_by(deliveries.c.id)
        .with_for_update(of=deliveries)
    )
    rows = (await connection.execute(statement)).mappings().all()
    return [
        to_delivery(row)
        for row in rows
        if row["road"].get("to_account") == account_id
        and not {"child_id", "digest_id"} & row["road"].keys()
    ]


async def mails_between(connection: Connection, account_id: str, begin: int, end: int) -> int:
    """How many deliveries reroutes brought to this account, due in [begin, end)."""
    statement = (
        select(func.count())
        .select_from(deliveries)
        .where(
            deliveries.c.account_id == account_id,
            or_(deliveries.c.parent_id.is_not(None), deliveries.c.part == Part.DIGEST),
            deliveries.c.state.in_(_COUNTED),
            deliveries.c.due_at >= begin,
            deliveries.c.due_at < end,
        )
    )
    return int((await connection.execute(statement)).scalar_one())


async def rerouted_since(
    connection: Connection, account_id: str, moment: int
) -> Sequence[Delivery]:
    """The account's deliveries that took another road at or after `moment`, in their order."""
    statement = (
        select(deliveries)
        .where(
            unindexed(deliveries.c.account_id) == account_id,
            *ended_since(moment, State.REROUTED),
            deliveries.c.finished_at >= moment,  # it may have been updated since
        )
        .order_by(deliveries.c.due_at + 0, deliveries.c.id)  # those are sorted, not looked for
    )
    return [to_delivery(row) for row in (await connection.execute(statement)).mappings()]


async def away(connection: Connection, *, since: int, now: int) -> dict[str, int]:
    """How many deliveries of each account, due after `now`, took another road at or after `since`:
    what may be brought back."""
    statement = (
        select(deliveries.c.account_id, func.count())
        .where(
            *indexed(State.REROUTED), deliveries.c.due_at > now, deliveries.c.finished_at >= since
        )
        .group_by(deliveries.c.account_id)
    )
    return {row[0]: row[1] for row in await connection.execute(statement)}


async def missed_by(
    connection: Connection, account_id: str, *, since: int
) -> list[tuple[Delivery, str | None]]:
    """What the account's followers missed and nobody has told them yet: deliveries due at or after
    `since` that went out by another road and were not taken down there, in order, with where each
    stands."""
    statement = (
        _missed(deliveries, _STANDS_AT)
        .where(
            deliveries.c.account_id == account_id,
            deliveries.c.state == State.REROUTED,
            deliveries.c.due_at >= since,
        )
        .order_by(deliveries.c.due_at, deliveries.c.id)
    )
    rows = (await connection.execute(statement)).mappings().all()
    return [(to_delivery(row), row["stands_at"]) for row in rows]


async def missed(connection: Connection, *, since: int) -> dict[str, int]:
    """How many that are for each account."""
    statement = (
        _missed(deliveries.c.account_id, func.count(deliveries.c.id.distinct()))
        .where(*indexed(State.REROUTED), deliveries.c.due_at >= since)
        .group_by(deliveries.c.account_id)
    )
    return {row[0]: row[1] for row in await connection.execute(statement)}


_child, _digest = deliveries.alias("child"), deliveries.alias("digest")
_STANDS_AT = func.coalesce(_child.c.url, _digest.c.url).label("stands_at")


def _missed(*wanted: Any) -> Select[Any]:
    told = (
        select(digest_items.c.parent_id)
        .join(digests, digests.c.delivery_id == digest_items.c.delivery_id)
        .where(digests.c.kind == "catch-up")
    )
    stand = [
        (one.c.state == State.DELIVERED) & one.c.withdrawn_at.is_(None) for one in (_child, _digest)
    ]
    return (
        select(*wanted)
        .select_from(deliveries)
        .outerjoin(_child, (_child.c.parent_id == deliveries.c.id) & stand[0])
        .outerjoin(digest_items, digest_items.c.parent_id == deliveries.c.id)
        .outerjoin(_digest, (_digest.c.id == digest_items.c.delivery_id) & stand[1])
        .where(
            deliveries.c.part == Part.POST,
            or_(_child.c.id.is_not(None), _digest.c.id.is_not(None)),
            deliveries.c.id.not_in(told),
        )
    )
