"""What came back about a reader, put into effect, once: the same for a mail handed over, a mail in
a mailbox and a provider's webhook."""

from __future__ import annotations

from dataclasses import dataclass

from scheduler import metrics
from scheduler.audience.returns import Kind, Returned
from scheduler.audience.suppression import fingerprint
from scheduler.decide import SECOND
from scheduler.store import audience, contacts
from scheduler.store import returns as store
from scheduler.store.db import Connection, Database
from scheduler.store.recipients import suppress

DAY = 24 * 3600 * SECOND
TOO_OFTEN = "refused-too-often"


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """Mails refused on so many days within so many days end it; `refusals` 0: never."""

    refusals: int
    days: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Returns:
    """Applies reports. `key`: of the never-again list."""

    database: Database
    key: bytes
    patience: Patience

    async def apply(
        self, connection: Connection, returned: Returned, *, slot: str, source: str, now: int
    ) -> bool:
        """Note a report and act on it, in the caller's transaction. False when it was known, or
        is about nobody we know. `slot` names it; `source` says which way it came."""
        person = await contacts.get(connection, returned.contact_id)
        if person is None or not person["email"]:
            return False
        if not await store.take(
            connection, self.database, returned, slot=slot, source=source, now=now
        ):
            return False
        metrics.RETURNS.labels(returned.kind).inc()
        reason: str | None = None
        if returned.kind in {Kind.GONE, Kind.COMPLAINT}:
            reason = returned.kind
        elif returned.kind is Kind.REFUSED and await self._too_often(connection, returned, now):
            reason = TOO_OFTEN
        if reason is not None:
            row = {
                "hash": fingerprint(self.key, person["email"]),
                "reason": reason,
                "detail": returned.status,
                "at": now,
            }
            await suppress(self.database, connection, [row])
            await store.start_over(connection, returned.contact_id)
        if returned.kind is Kind.COMPLAINT:
            await audience.leave_everything(
                connection, contact_id=returned.contact_id, source="complaint", now=now
            )
        return True

    async def _too_often(self, connection: Connection, returned: Returned, now: int) -> bool:
        """Several in one day are one: a server that was down for an evening is no dead mailbox."""
        if not self.patience.refusals:
            return False
        since = now - self.patience.days * DAY
        found = await store.refusals(connection, returned.contact_id, since=since)
        return len({at // DAY for at in found}) >= self.patience.refusals
