"""What probes read and write: status, suspicion, pauses, and the evidence of a change."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import RowMapping, exists, or_, select, update

from channels.outcome import AccessReason, Health, HealthStatus
from scheduler.deliveries import HoldReason, State
from scheduler.diagnosis import Known, Verdict
from scheduler.limits import FOREVER
from scheduler.plan import BY_HAND
from scheduler.store.absences import tell_return
from scheduler.store.alerts import open_data, raise_alert, resolve
from scheduler.store.db import Connection, Database
from scheduler.store.events import Event, append, line
from scheduler.store.tables import accounts, deliveries

# Pauses that a probe may end, by reason. A block for policy is not among them: pages under one
# answer as if all were well.
_PAUSED_BY_US = {"suspected", "vanished", "access-lost", *AccessReason} - {AccessReason.POLICY}
# What of the account is told: as which kind, how grave, what to do when the probe does not say.
_ALERTS = {
    Verdict.LOST: ("access", "account.access-lost", "critical", "reconnect the account"),
    Verdict.VANISHED: ("vanished", "account.vanished", "critical", "its queue takes plan B"),
    Verdict.DEGRADED: ("degraded", "account.degraded", "warning", "look at the page"),
    Verdict.STILL_DOWN: (
        "down",
        "account.platform-down",
        "warning",
        "nothing to do: it goes on by itself",
    ),
}


async def suspects(database: Database) -> Sequence[RowMapping]:
    """Accounts in doubt and not yet found vanished: `id, suspected_at, checked_at, policy`."""
    statement = select(
        accounts.c.id, accounts.c.suspected_at, accounts.c.checked_at, accounts.c.policy
    ).where(
        accounts.c.suspected_at.is_not(None),
        accounts.c.status != HealthStatus.VANISHED,
        accounts.c.archived_at.is_(None),
    )
    async with database.read() as connection:
        return (await connection.execute(statement)).mappings().all()


async def last_looks(database: Database) -> Sequence[RowMapping]:
    """When each account was last probed: `id, checked_at, policy`."""
    statement = select(accounts.c.id, accounts.c.checked_at, accounts.c.policy).where(
        accounts.c.archived_at.is_(None)
    )
    async with database.read() as connection:
        return (await connection.execute(statement)).mappings().all()


async def standing(database: Database, account_id: str) -> RowMapping:
    """The account's row."""
    async with database.read() as connection:
        statement = select(accounts).where(accounts.c.id == account_id)
        return (await connection.execute(statement)).mappings().one()


async def judge_and_mark(
    database: Database,
    account_id: str,
    health: Health,
    *,
    now: int,
    weigh: Callable[[Known], Verdict],
    visits: Sequence[Mapping[str, Any]],
    expires_at: int | None,
    actor: str,
) -> Verdict:
    """Weigh the probe against the row and write what changes, in one transaction. `visits`: what
    visitors saw, kept as evidence."""
    async with database.write() as connection:
        statement = select(accounts).where(accounts.c.id == account_id)
        statement = statement.with_for_update(key_share=True)  # deliveries may be added meanwhile
        row = (await connection.execute(statement)).mappings().one()
        verdict = weigh(
            Known(
                status=row["status"],
                reason=row["status_reason"],
                since=row["status_since"],
                suspected_at=row["suspected_at"],
            )
        )
        values = _marks(row, health, verdict, now)
        if expires_at is not None:
            values["expires_at"] = expires_at
        await connection.execute(
            update(accounts).where(accounts.c.id == account_id).values(**values)
        )
        await resolve(connection, _closed(account_id), now)
        if verdict in {Verdict.BACK, Verdict.DEGRADED}:
            await go_on(connection, account_id, now, well=verdict is Verdict.BACK)
            if row["status"] == HealthStatus.VANISHED:
                await tell_return(connection, row, now)
        await _alert(connection, database, row, health, verdict, now)
        if verdict not in {Verdict.NOTHING, Verdict.WAIT}:
            line = _line(account_id, health, verdict, visits, actor, now)
            await append(connection, [line])
        return verdict


def _marks(row: RowMapping, health: Health, verdict: Verdict, now: int) -> dict[str, Any]:
    """The account's columns that a verdict changes."""
    values: dict[str, Any] = {"checked_at": now, "updated_at": max(now, row["updated_at"] + 1)}
    status = {
        "status": health.status.value,
        "status_reason": "" if health.reason is None else health.reason.value,
        "status_detail": _sentences(health.detail, health.remedy),
        "status_since": now,
    }
    match verdict:
        case Verdict.SUSPECT:
            values |= {"suspected_at": now, **_pause(row, "suspected", now)}
        case Verdict.VANISHED:
            values |= {**status, **_pause(row, "vanished", now)}
        case Verdict.LOST:
            values |= {**status, **_pause(row, "access-lost", now)}
            values["suspected_at"] = None  # without access nobody can tell
        case Verdict.PASSING if row["status"] != health.status:
            values |= status
        case Verdict.BACK | Verdict.DEGRADED:
            values |= {**status, "suspected_at": None}
            if row["pause_reason"] in _PAUSED_BY_US:
                values |= {"paused_until": None, "pause_reason": "", "failures": 0}
        case Verdict.NOTHING | Verdict.WAIT | Verdict.PASSING | Verdict.STILL_DOWN:
            pass
    return values


def _sentences(detail: str, remedy: str) -> str:
    """What was found, then what to do about it."""
    if detail and remedy and not detail.endswith((".", "!", "?")):
        detail += "."
    return f"{detail} {remedy}".strip()


def _pause(row: RowMapping, reason: str, now: int) -> dict[str, Any]:
    """A pause without end; a person's own is left alone, so that no probe ends it."""
    if row["pause_reason"] == BY_HAND and (row["paused_until"] or 0) > now:
        return {}
    return {"paused_until": FOREVER, "pause_reason": reason}


async def _alert(
    connection: Connection,
    database: Database,
    row: RowMapping,
    health: Health,
    verdict: Verdict,
    now: int,
) -> None:
    """Tell the owner what a probe changed."""
    if verdict not in _ALERTS:
        return
    what, kind, severity, action = _ALERTS[verdict]
    await raise_alert(
        connection,
        database,
        fact=f"account:{row['id']}:{what}",
        kind=kind,
        severity=severity,
        data={
            "account_id": row["id"],
            "reason": "" if health.reason is None else health.reason.value,
            "cause": health.detail,
            "action": health.remedy or action,
        },
        now=now,
    )


def _line(
    account_id: str,
    health: Health,
    verdict: Verdict,
    visits: Sequence[Mapping[str, Any]],
    actor: str,
    now: int,
) -> Event:
    """What was asked and what was answered, for the journal."""
    evidence = {k: v for k, v in asdict(health.evidence).items() if v not in ("", None)}
    data = {
        "status": health.status.value,
        "reason": "" if health.reason is None else health.reason.value,
        "detail": health.detail,
        "evidence": evidence,
        "visits": [dict(one) for one in visits],
    }
    return line(f"account.{verdict.value}", now, actor, data, account_id=account_id)


async def go_on(connection: Connection, account_id: str, now: int, *, well: bool = True) -> None:
    """The account is back: what was held for it alone goes on, and its alerts end; what took
    another road stays there. What a person paused stays held while that pause lasts. `well`:
    visitors see all of it."""
    paused = select(accounts.c.id).where(accounts.c.id == account_id, accounts.c.paused_until > now)
    await connection.execute(
        update(deliveries)
        .where(
            deliveries.c.account_id == account_id,
            deliveries.c.state == State.HELD,
            or_(
                deliveries.c.hold_reason.in_((HoldReason.SUSPECTED, HoldReason.ACCESS_LOST)),
                (deliveries.c.hold_reason == HoldReason.BY_HAND) & ~exists(paused),
            ),
        )
        .values(
            state=State.SCHEDULED,
            hold_reason=None,
            look_at=None,
            token=None,
            cause="its account is back",
            updated_at=now,
        )
    )
    over = (
        "vanished",
        "access",
        "down",
        "renewal",
        "last-resort",
        "closed",
        *(("degraded",) if well else ()),
    )
    for what in over:
        await resolve(connection, f"account:{account_id}:{what}", now)


async def report_closed(database: Database, account_id: str, why: str, now: int) -> None:
    """Tell its owner, once, that an account cannot be opened."""
    async with database.write() as connection:
        if await open_data(connection, _closed(account_id)) is not None:
            return
        await raise_alert(
            connection,
            database,
            fact=_closed(account_id),
            kind="account.closed",
            severity="critical",
            data={
                "account_id": account_id,
                "cause": why,
                "action": "put the key or the release back that it needs, or reconnect the account",
            },
            now=now,
        )


def _closed(account_id: str) -> str:
    return f"account:{account_id}:closed"
