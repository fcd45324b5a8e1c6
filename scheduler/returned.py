"""What came back about a reader, put into effect, once: the same for a mail handed over, a mail in
a mailbox and a provider's webhook."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from channels.base import letter_number
from scheduler import metrics
from scheduler.audience.returns import Kind, Returned
from scheduler.audience.suppression import fingerprint
from scheduler.decide import SECOND
from scheduler.store import afterwards, audience, contacts
from scheduler.store import returns as store
from scheduler.store.afterwards import Later
from scheduler.store.db import Connection, Database
from scheduler.store.recipients import suppress

DAY = 24 * 3600 * SECOND
TOO_OFTEN = "refused-too-often"
RELAY = "relay"  # as a report's source


def named_by(about: str, contact_id: str) -> Callable[[str], bool]:
    """Whether `about`, a Message-ID, is that of this person's mail of a delivery."""
    number = about.strip("<>").partition("@")[0]

    def names(delivery_id: str) -> bool:
        return bool(number) and letter_number(f"{delivery_id}/{contact_id}") == number

    return names


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
        if returned.kind is Kind.LEFT:
            await self._left(connection, returned, now)
            return True
        await self._of_mailing(connection, returned, source, now)
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

    async def _left(self, connection: Connection, returned: Returned, now: int) -> None:
        """They leave the list whose mail they had; all of them, if none is known any more."""
        names = named_by(returned.about, returned.contact_id)
        contact_id, source = returned.contact_id, "mail to unsubscribe"
        list_id = await store.account_of(connection, contact_id, names)
        if list_id is None:
            await audience.leave_everything(
                connection, contact_id=contact_id, source=source, now=now
            )
        else:
            await audience.unsubscribe(
                connection, contact_id=contact_id, list_id=list_id, source=source, now=now
            )

    async def _of_mailing(
        self, connection: Connection, returned: Returned, source: str, now: int
    ) -> None:
        """Its mailing's figures say it too. What the relay itself said is among them already."""
        if returned.kind is Kind.DELAYED or source == RELAY:
            return
        complaint = returned.kind is Kind.COMPLAINT
        words = f"{returned.kind}: {returned.status} {returned.detail}".strip(" :")
        await afterwards.note(
            connection,
            returned.contact_id,
            Later.COMPLAINED if complaint else Later.BOUNCED,
            detail=words,
            names=named_by(returned.about, returned.contact_id),
            now=now,
        )

    async def _too_often(self, connection: Connection, returned: Returned, now: int) -> bool:
        """Several in one day are one: a server that was down for an evening is no dead mailbox."""
        if not self.patience.refusals:
            return False
        since = now - self.patience.days * DAY
        found = await store.refusals(connection, returned.contact_id, since=since)
        return len({at // DAY for at in found}) >= self.patience.refusals
