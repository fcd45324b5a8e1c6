"""Signing up, twice agreed: a form asks, a mail goes to the address, its reader confirms.

What the form answers never tells whether an address is known.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from scheduler.audience.links import seal, unseal
from scheduler.audience.suppression import fingerprint
from scheduler.audience.tracking import Kind
from scheduler.audience.turnstile import Turnstile
from scheduler.audience.wording import version_of
from scheduler.clock import Clock
from scheduler.decide import SECOND
from scheduler.store import audience, contacts, service_mails, traces
from scheduler.store.audience import Action, Consent, Standing
from scheduler.store.db import Database
from scheduler.store.recipients import suppressed

HOUR = 3600 * SECOND
# Somebody else's address must not be a way to fill their mailbox.
AGAIN_AFTER = 6 * HOUR
CONFIRM = "confirm"
PREFERENCES = "preferences"
# The page shows all that we know of somebody, and mails are kept for years.
PREFERENCES_OPEN_FOR = 7 * 24 * HOUR


def preferences_token(key: bytes, contact_id: str, list_id: str, *, now: int) -> str:
    """What opens somebody's page for a while, from `now` on."""
    return seal(key, PREFERENCES, contact_id, list_id, str(now))


def opened(key: bytes, token: str, *, now: int) -> tuple[str, str, bool] | None:
    """The contact and the list of such a token, and whether it still opens the page; None if we
    did not make it."""
    words = unseal(key, PREFERENCES, token)
    if words is None or len(words) < 2:
        return None
    made = int(words[2]) if len(words) > 2 else 0
    return words[0], words[1], now - made <= PREFERENCES_OPEN_FOR


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """A filled-in form. `email` is usable (`usable_address`); `language` is `en` or `fr`;
    `tracking`: what else they agreed to, in which words; `network`: see `Turnstile.admit`."""

    email: str
    name: str
    language: str
    list_id: str
    wording: str
    form: str
    source: str
    tracking: Mapping[Kind, str] = field(default_factory=dict)
    network: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignUps:
    """Takes forms and confirmations. `key`: of personal links and of the never-again list."""

    database: Database
    clock: Clock
    key: bytes
    turnstile: Turnstile

    async def apply(self, application: Application) -> None:
        """Note what was agreed to and have the confirmation sent; committed when it returns.
        Error: CrowdedError, nothing stored."""
        now = self.clock.micros()
        hashed = fingerprint(self.key, application.email)
        async with self.database.write() as connection:
            await self.turnstile.admit(
                connection,
                self.database,
                list_id=application.list_id,
                network=application.network,
                email=application.email,
                now=now,
            )
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
            if standing is Standing.PENDING or await suppressed(connection, [hashed]):
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

    async def waits(self, contact_id: str, list_id: str) -> bool:
        """Whether there is something to confirm: a sign-up, or that a mailbox which sent our mails
        back is there after all."""
        async with self.database.read() as connection:
            there = await audience.standing(connection, contact_id, list_id)
            if there is None or not there["email"]:
                return False
            if there["state"] != Standing.SUBSCRIBED:
                return bool(there["state"] == Standing.PENDING)
            return bool(await suppressed(connection, [fingerprint(self.key, there["email"])]))

    async def confirm(self, contact_id: str, list_id: str, *, again: Consent) -> bool:
        """Subscribed from now on; False when nothing waits for a confirmation. `again`: what is
        noted of somebody who is subscribed, and whom we had ceased to write to."""
        now = self.clock.micros()
        async with self.database.write() as connection:
            person = await contacts.get(connection, contact_id)
            if person is None or not person["email"]:
                return False
            ids = {"contact_id": contact_id, "list_id": list_id}
            hashed = fingerprint(self.key, person["email"])
            if await audience.confirm(connection, **ids, address_hash=hashed, now=now):
                return True
            if not await suppressed(connection, [hashed]):
                return False
            renewed = await audience.renew(connection, **ids, consent=again)
            if renewed:
                await audience.lift(connection, hashed)
            return renewed
