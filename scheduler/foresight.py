"""Trouble told on a calm day: credentials that end soon, plans B that lead nowhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from scheduler.answers import stamp
from scheduler.clock import Clock
from scheduler.decide import SECOND
from scheduler.roads import BROKEN
from scheduler.store import foresight as store
from scheduler.store.alerts import open_data, raise_alert, resolve
from scheduler.store.db import Connection, Database

DAY = 24 * 3600 * SECOND
# Days before the end when its owner is told, and told again.
WARNINGS = (1, 7, 14)


@dataclass(frozen=True, slots=True, kw_only=True)
class Foresight:
    """Looks ahead; every fact is told once, and ends when it is no longer one."""

    database: Database
    clock: Clock

    async def look(self) -> None:
        """One look at every account."""
        now = self.clock.micros()
        async with self.database.write() as connection:
            standings = await store.standings(connection)
            for standing in standings:
                await self._expiry(connection, standing, now)
            statuses = {one["id"]: one["status"] for one in standings}
            for account_id, fallbacks in (await store.fallbacks(connection)).items():
                await self._route(connection, account_id, gap(fallbacks, statuses), now)

    async def _expiry(self, connection: Connection, standing: Mapping[Any, Any], now: int) -> None:
        fact = f"account:{standing['id']}:expires"
        days = warning(standing["expires_at"], now)
        told = await open_data(connection, fact)
        if told is not None and told.get("days") == days:
            return
        await resolve(connection, fact, now)
        if days is None:
            return
        at_risk, count = await store.due_after(connection, standing["id"], standing["expires_at"])
        await raise_alert(
            connection,
            self.database,
            fact=fact,
            kind="account.expires",
            severity="critical" if days == WARNINGS[0] else "warning",
            data={
                "account_id": standing["id"],
                "days": days,
                "cause": f"its access ends at {stamp(standing['expires_at'])}",
                "posts": at_risk,
                "more_posts": count - len(at_risk),
                "action": "reconnect the account before then",
            },
            now=now,
        )

    async def _route(self, connection: Connection, account_id: str, cause: str, now: int) -> None:
        fact = f"account:{account_id}:route"
        if not cause:
            await resolve(connection, fact, now)
        elif await open_data(connection, fact) is None:
            await raise_alert(
                connection,
                self.database,
                fact=fact,
                kind="route.incomplete",
                severity="warning",
                data={
                    "account_id": account_id,
                    "cause": cause,
                    "action": "name another account that can carry its posts",
                },
                now=now,
            )


def warning(expires_at: int | None, now: int) -> int | None:
    """The last warning (days before the end) whose time has come, None before the first."""
    if expires_at is None:
        return None
    left = expires_at - now
    return next((days for days in WARNINGS if left <= days * DAY), None)


def gap(fallbacks: tuple[str, ...], statuses: Mapping[str, str]) -> str:
    """What is missing from a plan B, empty when it leads somewhere."""
    if not fallbacks:
        return "no other account can take its posts"
    if all(statuses.get(one) in BROKEN or one not in statuses for one in fallbacks):
        return "every fallback is itself unreachable"
    return ""
