"""How many may sign up within an hour: from one visitor, and for one list.

Whoever fills in the form has us write to an address that may be a stranger's. What is counted is
kept for that hour, as keyed hashes, for all processes.
"""

from __future__ import annotations

from dataclasses import dataclass

from scheduler.audience.keyed import keyed_hash
from scheduler.audience.suppression import fingerprint
from scheduler.decide import SECOND
from scheduler.store import signups
from scheduler.store.db import Connection, Database

WINDOW = 3600 * SECOND


class CrowdedError(Exception):
    """There were too many. `wait`: seconds until one more may come; `visitor`: from there, not for
    the list as a whole."""

    def __init__(self, wait: int, *, visitor: bool) -> None:
        super().__init__(f"too many sign-ups; again in {wait} s")
        self.wait, self.visitor = wait, visitor


@dataclass(frozen=True, slots=True, kw_only=True)
class Turnstile:
    """Sign-ups within an hour; 0: no limit. `key`: of the hashes."""

    key: bytes
    per_visitor: int
    per_list: int

    async def admit(
        self,
        connection: Connection,
        database: Database,
        *,
        list_id: str,
        network: str,
        email: str,
        now: int,
    ) -> None:
        """Count a sign-up; the same twice counts once. `network`: the visitor's, empty where they
        cannot be told from others. Error: CrowdedError, and the caller stores nothing."""
        since = now - WINDOW
        visitor = keyed_hash(self.key, f"{list_id} {network}".encode()).hex() if network else ""
        address = fingerprint(self.key, email)
        await signups.hold(connection, database, list_id)
        if await signups.counted(
            connection, list_id=list_id, visitor=visitor, address=address, since=since
        ):
            return
        limits = ((visitor or None, self.per_visitor if visitor else 0), (None, self.per_list))
        for who, limit in limits:
            if not limit:
                continue
            last = await signups.latest(
                connection, list_id=list_id, visitor=who, since=since, number=limit
            )
            if last is not None:
                wait = -(-(last + WINDOW - now) // SECOND)
                raise CrowdedError(max(wait, 1), visitor=who is not None)
        await signups.count(
            connection, database, list_id=list_id, visitor=visitor, address=address, now=now
        )
