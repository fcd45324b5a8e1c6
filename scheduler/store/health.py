"""What probes read and write: status, suspicion, pauses, and the evidence of a change."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict

from sqlalchemy import exists, or_, select, update

from channels.outcome import Health, HealthStatus
from scheduler.deliveries import HoldReason, State
from scheduler.diagnosis import Verdict
from scheduler.store.alerts import raise_alert, resolve
from scheduler.store.db import Connection, Database
from scheduler.store.events import append
from scheduler.store.tables import accounts, deliveries


async def suspects(database: Database, suspected_before: int) -> list[str]:
    """Accounts in doubt since before that moment and not yet found vanished."""
    statement = select(accounts.c.id).where(
        accounts.c.suspected_at <= suspected_before,
        accounts.c.status != HealthStatus.VANISHED,
        accounts.c.archived_at.is_(None),
    )
    async with database.read() as connection:
        return list((await connection.execute(statement)).scalars())


async def unseen_since(database: Database, moment: int) -> list[str]:
    """Accounts whose last probe is older than that moment."""
    statement = select(accounts.c.id).where(
        or_(accounts.c.checked_at.is_(None), accounts.c.checked_at < moment),
        accounts.c.archived_at.is_(None),
    )
    async with database.read() as connection:
        return list((await connection.execute(statement)).scalars())


async def judge_and_mark(
    database: Database,
    account_id: str,
    health: Health,
    *,
    now: int,
    weigh: Callable[[str, int | None], Verdict],
    expires_at: int | None,
    actor: str,
    forever: int,
) -> Verdict:
    """Weigh the probe against the row and write what changes, in one transaction."""
    async with database.write() as connection:
        row = (
            await connection.execute(
                select(
                    accounts.c.status,
                    accounts.c.suspected_at,
                    accounts.c.updated_at,
                    accounts.c.pause_reason,
                    accounts.c.name,
                )
                .where(accounts.c.id == account_id)
                .with_for_update()
            )
        ).one()
        verdict = weigh(row.status, row.suspected_at)
        values: dict[str, object] = {
            "checked_at": now,
            "updated_at": max(now, row.updated_at + 1),
        }
        if expires_at is not None:
            values["expires_at"] = expires_at
        status = {
            "status": health.status.value,
            "status_reason": "" if health.reason is None else health.reason.value,
            "status_detail": f"{health.detail} {health.remedy}".strip(),
            "status_since": now,
        }
        if verdict is Verdict.SUSPECT:
            values |= {"suspected_at": now, "paused_until": forever, "pause_reason": "suspected"}
        elif verdict in {Verdict.VANISHED, Verdict.LOST}:
            reason = "vanished" if verdict is Verdict.VANISHED else "access-lost"
            values |= {**status, "paused_until": forever, "pause_reason": reason}
        elif verdict is Verdict.PASSING and row.status != health.status:
            values |= status
        elif verdict is Verdict.BACK:
            values |= {**status, "suspected_at": None}
            if row.pause_reason in {"suspected", "vanished", "access-lost"}:
                values |= {"paused_until": None, "pause_reason": "", "failures": 0}
        await connection.execute(
            update(accounts).where(accounts.c.id == account_id).values(**values)
        )
        if verdict is Verdict.BACK:
            await go_on(connection, account_id, now)
        if verdict is Verdict.LOST:
            await raise_alert(
                connection, database,
                fact=f"account:{account_id}:access", kind="account.access-lost",
                severity="critical", now=now,
                data={
                    "title": row.name, "account_id": account_id,
                    "cause": health.detail, "action": health.remedy or "reconnect the account",
                },
            )  # fmt: skip
        if verdict not in {Verdict.NOTHING, Verdict.WAIT}:
            evidence = {k: v for k, v in asdict(health.evidence).items() if v not in ("", None)}
            await append(
                connection,
                [
                    {
                        "at": now,
                        "kind": f"account.{verdict.value}",
                        "actor": actor,
                        "post_id": None,
                        "delivery_id": None,
                        "account_id": account_id,
                        "data": {
                            "status": health.status.value,
                            "detail": health.detail,
                            "evidence": evidence,
                        },
                    }
                ],
            )
        return verdict


async def go_on(connection: Connection, account_id: str, now: int) -> None:
    """The account is back: what was held for it alone goes on, and its alerts end; what took
    another road stays there. What a person paused stays held while that pause lasts."""
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
    for what in ("vanished", "access", "degraded"):
        await resolve(connection, f"account:{account_id}:{what}", now)


async def report_vanished(
    database: Database,
    account_id: str,
    *,
    name: str,
    detail: str,
    counts: Mapping[str, int],
    now: int,
) -> None:
    """One alert for the whole queue: what happened, and where it went."""
    moved = ", ".join(f"{count} {state}" for state, count in sorted(counts.items())) or "nothing"
    async with database.write() as connection:
        await raise_alert(
            connection,
            database,
            fact=f"account:{account_id}:vanished",
            kind="account.vanished",
            severity="critical",
            data={
                "title": name,
                "account_id": account_id,
                "cause": detail,
                "moved": dict(counts),
                "action": f"its queue took plan B ({moved}); look at the page, reconnect it or"
                " archive the account",
            },
            now=now,
        )
