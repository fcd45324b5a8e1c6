"""Signing up, twice agreed: a form asks, a mail goes to the address, its reader confirms.

What the form answers never tells whether an address is known.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from scheduler.audience.links import unseal
from scheduler.audience.suppression import fingerprint
from scheduler.audience.tracking import Kind
from scheduler.audience.wording import version_of
from scheduler.clock import Clock
from scheduler.decide import SECOND
from scheduler.store import audience, contacts, service_mails, traces
from scheduler.store.audience import Action, Consent, Standing
from scheduler.store.db import Database

HOUR = 3600 * SECOND
# Somebody else's address must not be a way to fill their mailbox.
AGAIN_AFTER = 6 * HOUR
CONFIRM = "confirm"
PREFERENCES = "preferences"


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """A filled-in form. `email` is usable (`usable_address`); `language` is `en` or `fr`;
    `tracking`: what else they agreed to, in which words."""

    email: str
    name: str
    language: str
    list_id: str
    wording: str
    form: str
    source: str
    tracking: Mapping[Kind, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class SignUps:
    """Takes forms and confirmations. `key`: of personal links and of the never-again list."""

    database: Database
    clock: Clock
    key: bytes

    async def apply(self, application: Application) -> None:
        """Note what was agreed to and have the confirmation sent; committed when it returns."""
        now = self.clock.micros()
        async with self.database.write() as connection:
            contact_id, _ = await contacts.meet(
                connection,
                self.database,
                {
                    "email": application.email,
                    "name": application.name,
                    "language": application.language,
                },
                now=now,
            )
            standing = await audience.subscribe(
                connection,
                self.database,
                contact_id=contact_id,
                list_id=application.list_id,
                consent=Consent(
                    action=Action.SUBSCRIBE,
                    at=now,
                    form=application.form,
                    wording=application.wording,
                    wording_version=version_of(application.wording),
                    source=application.source,
                ),
                now=now,
            )
            if standing is Standing.PENDING:
                for kind, wording in application.tracking.items():
                    await traces.agree(
                        connection,
                        contact_id=contact_id,
                        list_id=application.list_id,
                        kind=kind,
                        consent=Consent(
                            action=traces.GIVEN[kind],
                            at=now,
                            form=application.form,
                            wording=wording,
                            wording_version=version_of(wording),
                            source=application.source,
                        ),
                    )
                await service_mails.ask(
                    connection,
                    self.database,
                    contact_id=contact_id,
                    list_id=application.list_id,
                    kind=CONFIRM,
                    language=application.language,
                    now=now,
                    again_after=AGAIN_AFTER,
                )

    def named(self, token: str) -> tuple[str, str] | None:
        """The contact and the list of a confirmation link, None if we did not make it."""
        found = unseal(self.key, CONFIRM, token)
        return None if found is None or len(found) != 2 else (found[0], found[1])

    async def confirm(self, contact_id: str, list_id: str) -> bool:
        """Subscribed from now on; False when nothing waits for a confirmation."""
        now = self.clock.micros()
        async with self.database.write() as connection:
            person = await contacts.get(connection, contact_id)
            if person is None or not person["email"]:
                return False
            return await audience.confirm(
                connection,
                contact_id=contact_id,
                list_id=list_id,
                address_hash=fingerprint(self.key, person["email"]),
                now=now,
            )
