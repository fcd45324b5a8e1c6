"""What becomes of an account's queue while its page is away, and how its owner is told."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import ColumnElement, RowMapping, and_, exists, func, or_, select, union_all, update

from channels.outcome import HealthStatus
from scheduler.deliveries import HoldReason, State
from scheduler.store.alerts import amend, tell
from scheduler.store.claims import lock
from scheduler.store.db import Connection, Database, unindexed
from scheduler.store.states import WAITING, ended_since
from scheduler.store.tables import accounts, deliveries, posts

_AT_ONCE = 500


async def vanished_with_queue(database: Database) -> list[str]:
    """Vanished accounts for which something still waits."""
    waiting = [
        exists().where(deliveries.c.account_id == accounts.c.id, *one)
        for one in waits_for_its_page()
    ]
    statement = select(accounts.c.id).where(
        accounts.c.status == HealthStatus.VANISHED, accounts.c.archived_at.is_(None), or_(*waiting)
    )
    async with database.read() as connection:
        return list((await connection.execute(statement)).scalars())


async def release_strays(database: Database, now: int) -> bool:
    """Let go on what is held for an account that is well: a batch that had read the account before
    it came back was committed after that. Whether there was any."""
    well = exists().where(
        accounts.c.id == deliveries.c.account_id,
        accounts.c.archived_at.is_(None),
        accounts.c.suspected_at.is_(None),
        accounts.c.status.not_in((HealthStatus.VANISHED, HealthStatus.ACCESS_LOST)),
        func.coalesce(accounts.c.paused_until, 0) <= now,
    )
    stray = and_(
        # Nearly always nobody's: the small index leads there, whatever the size of the table.
        WAITING,
        deliveries.c.state == State.HELD,
        deliveries.c.hold_reason.in_(
            (HoldReason.SUSPECTED, HoldReason.ACCESS_LOST, HoldReason.BY_HAND)
        ),
        well,
    )
    async with database.read() as connection:
        found = await connection.execute(select(deliveries.c.id).where(stray).limit(_AT_ONCE))
        strays = list(found.scalars())
    if not strays:
        return False
    async with database.write() as connection:
        still = and_(stray, deliveries.c.id.in_(strays))
        await lock(database, connection, still)
        await connection.execute(
            update(deliveries)
            .where(still)
            .values(
                state=State.SCHEDULED, hold_reason=None, look_at=None, token=None,
                cause="its account is back", updated_at=now,
            )
        )  # fmt: skip
    return True


async def tell_return(connection: Connection, row: RowMapping, now: int) -> None:
    """What happened while the page was away; nothing of it is published again by itself."""
    counts = await _moved_since(connection, row["id"], row["status_since"])
    await tell(
        connection,
        kind="account.returned",
        data={
            "account_id": row["id"],
            "cause": f"the page is back; while it was away: {_in_words(counts)}",
            "moved": counts,
            "action": "nothing is published again by itself; you may publish one catch-up post",
        },
        now=now,
    )


async def report_vanished(
    database: Database, account_id: str, *, detail: str, since: int, now: int
) -> None:
    """The alert of a vanished page says where its whole queue went, all in one."""
    async with database.write() as connection:
        counts = await _moved_since(connection, account_id, since)
        left = await _left_behind(connection, account_id, since)
        await amend(
            connection,
            f"account:{account_id}:vanished",
            {
                "account_id": account_id,
                "cause": detail,
                "moved": counts,
                "posts": left,
                "action": f"its queue took plan B ({_in_words(counts)}); look at the page,"
                " reconnect it or archive the account",
            },
            now,
        )


async def _moved_since(connection: Connection, account_id: str, since: int) -> dict[str, int]:
    """How many of the account's deliveries got which state since plan B began."""
    statement = union_all(  # one index each
        *(
            select(deliveries.c.state, func.count())
            .where(unindexed(deliveries.c.account_id) == account_id, *some)
            .group_by(deliveries.c.state)
            for some in (_held_since(since), ended_since(since, State.REROUTED, State.FAILED))
        )
    )
    return {row[0]: row[1] for row in await connection.execute(statement)}


async def _left_behind(connection: Connection, account_id: str, since: int) -> list[str]:
    """Titles of posts that found no other road, the first to go out first."""
    left = union_all(  # one index each
        *(
            select(deliveries.c.id).where(unindexed(deliveries.c.account_id) == account_id, *some)
            for some in (_held_since(since), ended_since(since, State.FAILED))
        )
    )
    statement = (
        select(posts.c.title)
        .join(deliveries, deliveries.c.post_id == posts.c.id)
        .where(deliveries.c.id.in_(select(left.subquery())))
        .order_by(deliveries.c.due_at + 0, deliveries.c.id)  # those are sorted, not looked for
    )
    return list((await connection.execute(statement)).scalars())


def _held_since(moment: int) -> list[ColumnElement[bool]]:
    held = unindexed(deliveries.c.state) == State.HELD
    return [WAITING, held, deliveries.c.updated_at >= moment]


def _in_words(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {state}" for state, count in sorted(counts.items())) or "nothing"


def waits_for_its_page() -> list[list[ColumnElement[bool]]]:
    """Deliveries that plan B moves when their page has vanished: what waits for a moment or for
    the page itself, and not what a person is already asked about. Conditions for each state."""
    away = (HoldReason.SUSPECTED, HoldReason.ACCESS_LOST)
    return [
        [deliveries.c.state == State.SCHEDULED],
        [deliveries.c.state == State.HELD, deliveries.c.hold_reason.in_(away)],
    ]
