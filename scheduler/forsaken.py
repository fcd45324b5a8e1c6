"""Who waits for a mailing that a person cancelled waits no longer: each gets a final state, some at
a time, and the person is told how many got it, did not, and may have. The leader does it, so that
no kill leaves anybody waiting for ever.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import structlog

from scheduler.changes import event
from scheduler.clock import Clock
from scheduler.decide import SECOND
from scheduler.deliveries import Delivery
from scheduler.inheritance import inherit
from scheduler.logbook import forget
from scheduler.services import Services
from scheduler.store import forsaken as store
from scheduler.store import recipients
from scheduler.store.alerts import tell
from scheduler.store.db import Connection, Database
from scheduler.store.events import append
from scheduler.store.recipients import RecipientState

log = structlog.get_logger()

KIND = "recipients.cancelled"
BACK = 7 * 24 * 3600 * SECOND
AT_ONCE = 1000
DELIVERIES = 20
_NOBODY = ""  # in place of the token of a run: none goes on


@dataclass(frozen=True, slots=True, kw_only=True)
class Forsaken:
    """Settles who was left waiting. `logbooks`: those of the runs on this machine."""

    database: Database
    clock: Clock
    logbooks: Path
    actor: str = "broadcast"

    async def round(self) -> int:
        """Settle everybody; how many those were."""
        since = self.clock.micros() - BACK
        found = await store.cancelled(self.database, since=since, limit=DELIVERIES)
        return sum([await self._settle(one) for one in found])

    async def _settle(self, delivery: Delivery) -> int:
        total = await self._trace(delivery)
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
                    await self._tell(connection, delivery, now)
            log.info("recipients.cancelled", delivery=delivery.id, count=total)
            return total

    async def _trace(self, delivery: Delivery) -> int:
        """Who was under way in a run that died is known from its logbook, where that lies here:
        most got their mail, or certainly did not; how many no longer wait."""
        now = self.clock.micros()
        async with self.database.write() as connection:
            before = await recipients.tally(connection, delivery.id)
            strays = await inherit(
                connection, self.logbooks, delivery_id=delivery.id, token=_NOBODY, resend=False,
                now=now,
            )  # fmt: skip
            after = await recipients.tally(connection, delivery.id) if strays else before
        for token in strays:
            forget(self.logbooks, delivery.id, token)
        return _open(before) - _open(after)

    async def _tell(self, connection: Connection, delivery: Delivery, now: int) -> None:
        counts = await recipients.tally(connection, delivery.id)
        unsent = await store.not_sent(connection, delivery.id)
        uncertain = counts.get(RecipientState.UNCERTAIN, 0)
        figures = {
            "accepted": counts.get(RecipientState.ACCEPTED, 0),
            "refused": counts.get(RecipientState.REFUSED, 0),
            "suppressed": counts.get(RecipientState.SUPPRESSED, 0) - unsent,
            "uncertain": uncertain,
            "not_sent": unsent,
        }
        clauses = [
            *([f"{unsent} had not been written to when it was cancelled"] if unsent else []),
            *([f"nobody knows whether {uncertain} got it"] if uncertain else []),
        ]
        data = {"count": unsent, "cause": "; ".join(clauses), **figures}
        await append(connection, [event(KIND, delivery, now, self.actor, dict(data))])
        ids = {
            "post_id": delivery.post_id,
            "delivery_id": delivery.id,
            "account_id": delivery.account_id,
        }
        await tell(connection, kind=KIND, data={**ids, **data}, now=now)


def forsaken_of(services: Services) -> Forsaken:
    """The one of a worker."""
    return Forsaken(
        database=services.database,
        clock=services.clock,
        logbooks=services.settings.data_dir / "logbooks",
    )


def _open(counts: dict[RecipientState, int]) -> int:
    return counts.get(RecipientState.PENDING, 0) + counts.get(RecipientState.SENDING, 0)
