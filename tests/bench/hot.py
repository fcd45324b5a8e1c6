"""The queries that run all the time or that somebody waits for: how long each takes, and whether
the database reads a whole table for it."""

from __future__ import annotations

import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import uuid_utils
from sqlalchemy import event, select, update

from scheduler.clock import Clock
from scheduler.deliveries import State
from scheduler.store import (
    absences,
    afterwards,
    agenda,
    alerts,
    baskets,
    campaigns,
    claims,
    contacts,
    drills,
    events,
    foresight,
    forsaken,
    lists,
    look,
    looks,
    mailings,
    notices,
    pages,
    posts,
    receipts,
    reroutes,
    rescue,
    workers,
)
from scheduler.store import accounts as account_store
from scheduler.store.afterwards import Later
from scheduler.store.db import Database
from scheduler.store.posts import PostFilter
from scheduler.store.tables import deliveries

BIG = ("deliveries", "posts", "attempts", "events", "recipients", "alerts", "hook_calls")
DAY = 86_400_000_000
HOUR = 3_600_000_000
MAILING = "22222222-0000-7000-8000-000000000032"  # of `tests.bench.people`

Query = Callable[[], Awaitable[object]]


def hot(database: Database, account: str, now: int) -> dict[str, Query]:
    """By name, in the order of the report."""

    def listed(wanted: PostFilter, *, newest: bool = True, after: Any = None) -> Query:
        async def run() -> object:
            async with database.read() as connection:
                return await posts.page(
                    connection, wanted, after=after, limit=51, newest_first=newest
                )

        return run

    def legs(state: str | None, of: str | None) -> Query:
        async def run() -> object:
            async with database.read() as connection:
                return await posts.delivery_page(
                    connection, state=state, account=of, after=None, limit=51
                )

        return run

    def reading(query: Callable[..., Awaitable[object]], *values: Any, **named: Any) -> Query:
        async def run() -> object:
            async with database.read() as connection:
                return await query(connection, *values, **named)

        return run

    def people(
        *, list_id: str | None = None, state: str | None = None, after: str | None = None
    ) -> Query:
        return reading(contacts.page, list_id=list_id, state=state, after=after, limit=51)

    async def due_looks() -> object:
        return await looks.due_looks(database, now=now, without=(), limit=200)

    async def sweep() -> object:
        return await rescue.rescue(
            database, now=now - 365 * DAY, dead_before=now - HOUR, first_look=now
        )

    return {
        "due look": lambda: claims.any_due(database, now + 5_000_000, now=now),
        "sweep": sweep,
        "looks": due_looks,
        "queue depth": lambda: claims.depth(database),
        "planned, counted": lambda: claims.planned(database),
        "readiness": lambda: workers.last_heartbeat(database, now),
        "takeover": lambda: rescue.claimed_by(database, "bench"),
        "posts": listed(PostFilter()),
        "posts, deep": listed(PostFilter(), after=(now - 30 * DAY, "5")),
        "posts planned": listed(PostFilter(due_from=now), newest=False),
        "posts past": listed(PostFilter(due_before=now)),
        **{
            f"posts {state}": listed(PostFilter(state=state))
            for state in ("scheduled", "delivered", "held", "failed", "unconfirmed")
        },
        "posts scheduled, oldest": listed(PostFilter(state="scheduled"), newest=False),
        "posts of account": listed(PostFilter(account=account)),
        "posts of channel": listed(PostFilter(channel="facebook")),
        "posts of no channel": listed(PostFilter(channel="none")),
        "posts of account, held": listed(PostFilter(account=account, state="held")),
        "deliveries": legs(None, None),
        **{f"deliveries {state}": legs(state, None) for state in ("held", "failed", "delivered")},
        "deliveries of account": legs(None, account),
        "deliveries of account, held": legs("held", account),
        "timeline": lambda: events.of_post(database, "11111111-0000-7000-8000-000000000001"),
        "events after": lambda: events.after(database, 10),
        "events last": lambda: events.last(database),
        "agenda": reading(agenda.planned, since=now, until=now + 30 * DAY, limit=500),
        "basket, a week": reading(baskets.carried, now - 7 * DAY, 2 * now),
        "basket, counted": reading(baskets.last_counted, now),
        "basket, trend": reading(baskets.history, 365),
        "basket, waiting": reading(baskets.waiting, 500),
        "foresight": reading(foresight.due_after, account, now + DAY),
        "account waiting": reading(account_store.waiting, account),
        "plan B queue": lambda: reroutes.queue_page(database, account, after=None, limit=500),
        "strays": lambda: absences.release_strays(database, now),
        "forsaken": lambda: forsaken.cancelled(database, since=now - 7 * DAY, limit=20),
        "what we hold of somebody": reading(contacts.belongings, ["c"]),
        "mail that came back": reading(
            afterwards.note, "c", Later.BOUNCED, detail="", names=lambda _: True, now=now
        ),
        "mail that arrived": reading(
            afterwards.arrived, "c", account, names=lambda _: True, at=now, now=now
        ),
        "vanished": lambda: absences.vanished_with_queue(database),
        "moved since": reading(absences._moved_since, account, now - HOUR),
        "left behind": reading(absences._left_behind, account, now - HOUR),
        "rerouted since": reading(reroutes.rerouted_since, account, now - HOUR),
        "missed by": reading(reroutes.missed_by, account, since=now - 90 * DAY),
        "missed by any": reading(reroutes.missed, since=now - 90 * DAY),
        "away from any": reading(reroutes.away, since=now - DAY, now=now),
        "last drills": reading(drills.last),
        "mails of a week": reading(reroutes.mails_between, account, now - 7 * DAY, now),
        "receipts": reading(receipts.in_doubt, account, ["1048576_5"], ["x"]),
        "contacts": people(),
        "contacts, deep": people(after="cccccccc-0000-7000-8000-000000001000"),
        "contacts of list": people(list_id=account),
        "contacts of list, pending": people(list_id=account, state="pending"),
        "contacts pending": people(state="pending"),
        "list, counted": reading(lists.counts, account),
        "letters": reading(mailings.letters_of, account, limit=50),
        "recipients": reading(mailings.recipients_of, MAILING, state=None, after=None, limit=50),
        "campaigns": reading(campaigns.page, after=None, limit=51),
        "campaigns, deep": reading(campaigns.page, after=(now - DAY, "e"), limit=51),
        "drills": reading(drills.listed, 20),
        "blog": lambda: pages.PageStore(database).latest(20),
        "untold alerts": lambda: notices.untold(database, now),
        "alerts": reading(notices.listed, resolved=False, limit=50),
        "alerts, all": reading(notices.listed, resolved=True, limit=50),
        "alert of a fact": reading(alerts.open_data, "workers:none"),
    }


async def timed(query: Query, runs: int, longest: float) -> list[float]:
    """Milliseconds of each run, sorted; fewer runs when they take more than `longest` seconds."""
    took = []
    end = time.perf_counter() + longest
    for _ in range(runs):
        begun = time.perf_counter()
        await query()
        took.append((time.perf_counter() - begun) * 1000)
        if time.perf_counter() > end:
            break
    return sorted(took)


async def claim(database: Database, runs: int, batch: int) -> list[float]:
    """Milliseconds of each claim of `batch` due deliveries, sorted; they are given back."""
    clock = Clock()
    took = []
    last_look = look.open_look(database)
    for _ in range(runs):
        token = str(uuid_utils.uuid7())
        now = clock.micros()
        begun = time.perf_counter()
        found = await claims.claim_due(
            database, horizon=now, worker="bench", token=token, lease_until=now + 30_000_000,
            now=now, limit=batch,
        )  # fmt: skip
        took.append((time.perf_counter() - begun) * 1000)
        assert len(found) == batch
        assert len(await last_look.seen([one.id for one in found])) == batch
    await last_look.close()
    async with database.write() as connection:
        await connection.execute(
            update(deliveries)
            .where(deliveries.c.worker == "bench", deliveries.c.state == State.ARMED)
            .values(state=State.SCHEDULED, token=None, worker=None, lease_until=None)
        )
    return sorted(took)


@asynccontextmanager
async def statements(
    database: Database, *, reading: bool = True
) -> AsyncIterator[list[tuple[str, Any]]]:
    """What is sent to the database meanwhile, or only what is in transactions: (SQL,
    parameters)."""
    sent: list[tuple[str, Any]] = []

    def heard(_connection: Any, _cursor: Any, sql: str, values: Any, *_: Any) -> None:
        sent.append((sql, values))

    engines = [database._writing.sync_engine]
    if reading:
        engines.append(database._reading.sync_engine)
    for engine in engines:
        event.listen(engine, "before_cursor_execute", heard)
    try:
        yield sent
    finally:
        for engine in engines:
            event.remove(engine, "before_cursor_execute", heard)


async def plan(database: Database, query: Query, *, indexes_only: bool = False) -> str:
    """How the database runs the query's statements, in its own words. `indexes_only`: PostgreSQL
    reads small tables whole unless told to use an index if there is any."""
    async with statements(database) as sent:
        await query()
    told = []
    explain = "EXPLAIN" if database.is_postgresql else "EXPLAIN QUERY PLAN"
    for sql, values in sent:
        if sql.lstrip().upper().startswith(("SELECT", "UPDATE", "DELETE", "WITH")):
            async with database.read() as connection:
                if database.is_postgresql and indexes_only:
                    await connection.exec_driver_sql("SET enable_seqscan = off")
                rows = await connection.exec_driver_sql(f"{explain} {sql}", values)
                told.append("\n".join(str(row[-1]) for row in rows))
    return "\n".join(told)


def scanned(words: str) -> list[str]:
    """The large tables that a plan reads whole."""
    found = []
    for line in words.splitlines():
        for table in BIG:
            # By its own key is whole, too.
            whole = "USING" not in line or "sqlite_autoindex" in line
            sqlite = f"SCAN {table}" in line and whole
            if sqlite or f"Seq Scan on {table}" in line:
                found.append(table)
    return sorted(set(found))


def summary(took: list[float]) -> Mapping[str, float]:
    """Milliseconds."""
    return {
        "p50": round(statistics.median(took), 3),
        "p99": round(took[min(len(took) - 1, int(len(took) * 0.99))], 3),
        "runs": len(took),
    }


async def some_account(database: Database) -> str:
    """One that has deliveries."""
    async with database.read() as connection:
        found = await connection.execute(select(deliveries.c.account_id).limit(1))
        return str(found.scalar_one())
