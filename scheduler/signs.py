"""What outcomes say of whole accounts, written with them: marks, journal, alerts."""

from __future__ import annotations

from collections.abc import Mapping

from scheduler.limits import AccountSign, Sign
from scheduler.store.alerts import raise_alert, resolve
from scheduler.store.db import Connection, Database
from scheduler.store.events import append, line
from scheduler.store.roster import apply_signs


async def write_signs(
    connection: Connection,
    database: Database,
    signs: Mapping[str, AccountSign],
    *,
    now: int,
    actor: str,
) -> None:
    """`signs`: by account. Before any delivery is written, as whoever judges a probe does it:
    else the two could deadlock."""
    for account_id in await apply_signs(connection, signs, now):
        sign = signs[account_id]
        data = {"reason": sign.reason, "detail": sign.detail, "paused_until": sign.paused_until}
        told = line(f"account.{sign.sign.value}", now, actor, data, account_id=account_id)
        await append(connection, [told])
        await _alert(connection, database, account_id, sign, now)


async def _alert(
    connection: Connection, database: Database, account_id: str, sign: AccountSign, now: int
) -> None:
    """A person learns of lost access and of a policy block; a recovery closes the alert."""
    fact = f"account:{account_id}:access"
    if sign.sign is Sign.WELL:
        await resolve(connection, fact, now)
    elif sign.sign is Sign.ACCESS_LOST or sign.reason == "policy":
        await raise_alert(
            connection,
            database,
            fact=fact,
            kind="account.access-lost",
            severity="critical",
            data={
                "account_id": account_id,
                "cause": sign.detail,
                "action": "reconnect the account; its posts are held until then",
            },
            now=now,
        )
