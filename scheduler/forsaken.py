"""Who waits for a mailing that a person cancelled waits no longer: each gets a final state, some at
a time, and the person is told how many those were. The leader does it, so that no kill leaves
anybody waiting for ever.
"""

from __future__ import annotations

from dataclasses import dataclass

import structlog

from scheduler.changes import event
from scheduler.clock import Clock
from scheduler.decide import SECOND
from scheduler.deliveries import Delivery
from scheduler.store import forsaken as store
from scheduler.store.alerts import tell
from scheduler.store.db import Database
from scheduler.store.events import append

log = structlog.get_logger()

KIND = "recipients.cancelled"
BACK = 7 * 24 * 3600 * SECOND
AT_ONCE = 1000
DELIVERIES = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Forsaken:
    """Settles who was left waiting."""

    database: Database
    clock: Clock
    actor: str = "broadcast"

    async def round(self) -> int:
        """Settle everybody; how many those were."""
        since = self.clock.micros() - BACK
        found = await store.cancelled(self.database, since=since, limit=DELIVERIES)
        return sum([await self._settle(one) for one in found])

    async def _settle(self, delivery: Delivery) -> int:
        total = 0
        while True:
            now = self.clock.micros()
            async with self.database.write() as connection:
                some = await store.settle_some(
                    self.database, connection, delivery, at_once=AT_ONCE, now=now
                )
                total += some
                if some == AT_ONCE:
                    continue
                if total:
                    cause = f"{total} had not been written to when it was cancelled"
                    data = {"count": total, "cause": cause}
                    await append(connection, [event(KIND, delivery, now, self.actor, dict(data))])
                    ids = {
                        "post_id": delivery.post_id,
                        "delivery_id": delivery.id,
                        "account_id": delivery.account_id,
                    }
                    await tell(connection, kind=KIND, data={**ids, **data}, now=now)
            log.info("recipients.cancelled", delivery=delivery.id, count=total)
            return total
