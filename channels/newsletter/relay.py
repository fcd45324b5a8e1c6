"""The relays of one newsletter, in order: the first that lets us in carries the mail."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from channels.newsletter.replies import Reply, Stage, evidence_of, outcome_of
from channels.newsletter.settings import NewsletterSettings, Relay
from channels.newsletter.smtp import Connection, LostError, RefusedError, Server, connect
from channels.newsletter.stream import Pack, Parcel
from channels.outcome import (
    AccessLost,
    Delivered,
    Evidence,
    Health,
    HealthStatus,
    Outcome,
    RecipientOutcome,
    Throttled,
    Unavailable,
    Unconfirmed,
    Unreachable,
)
from channels.streams import Crowd


@lru_cache(maxsize=16)
def tls_context(ca_file: Path | None) -> ssl.SSLContext:
    """Certificates are always verified. Error: OSError when `ca_file` cannot be read."""
    return ssl.create_default_context(cafile=ca_file)


class Road:
    """One connection to the first relay that works, made again when it breaks.

    A relay whose fault is its own (login, our DNS records, its greeting) is left for the next one
    and not tried again on this road.
    """

    def __init__(self, settings: NewsletterSettings) -> None:
        self._settings = settings
        self._relays = list(settings.relays)
        self._relay: Relay | None = None
        self._connection: Connection | None = None

    @property
    def relay(self) -> str:
        return self._relay.label if self._relay else ""

    async def open(self) -> Outcome | None:
        """None when there is a connection, else why no relay can be had."""
        if self._connection is not None and self._connection.usable:
            return None
        faults: list[Outcome] = []
        for relay in tuple(self._relays):
            try:
                self._connection = await enter(relay, self._settings)
            except (LostError, RefusedError, OSError) as error:
                fault = _fault(relay, error)
                faults.append(fault)
                if isinstance(fault, AccessLost) and len(self._relays) > 1:
                    self._relays.remove(relay)
                continue
            self._relay = relay
            return None
        return worst(faults)

    @property
    def streams(self) -> bool:
        """Whether the open connection takes one mail behind the other."""
        return self._connection is not None and self._connection.pipelining

    async def stream(self, crowd: Crowd, pack: Pack) -> tuple[Outcome | None, bool]:
        """Write to a crowd over the open connection (`streams`), as far as it goes, and find out
        about those it left over: the fault of the road, and whether nobody was next."""
        connection, relay = self._connection, self.relay
        assert connection is not None
        stream = await connection.stream(crowd, pack, relay=relay)
        fault: Outcome | None = None
        if stream.doubtful is not None:
            detail = f"{relay}: connection lost after the mail was sent ({stream.lost})"
            evidence = Evidence(request=f"mail to {relay}", excerpt=stream.lost)
            crowd.answered(stream.doubtful.recipient, Unconfirmed(detail=detail, evidence=evidence))
        for parcel in stream.back:
            outcome = await self._once_more(parcel, crowd, seasoned=connection.mails > 0)
            if outcome is not None and crowd.answered(parcel.recipient, outcome):
                fault = outcome if not isinstance(outcome, Unreachable) else fault
        return fault, stream.idle

    async def _once_more(
        self, parcel: Parcel, crowd: Crowd, *, seasoned: bool
    ) -> RecipientOutcome | None:
        """None when this mail must not leave any more."""
        if parcel.refusal is not None:
            outcome, again = await self._refused(*parcel.refusal, seasoned=seasoned)
            if not again:
                return outcome
        if not crowd.leaving(parcel.recipient):
            return None
        mail = parcel.mail
        return await self.mail(mail.message_id, mail.sender, mail.recipient, mail.content)

    async def mail(
        self, message_id: str, sender: bytes, recipient: bytes, content: bytes
    ) -> RecipientOutcome:
        """Write one mail, once; a relay that certainly did not take it may be left for another."""
        while True:
            fault = await self.open()
            if fault is not None:
                return fault
            outcome, again = await self._try(message_id, sender, recipient, content)
            if not again:
                return outcome

    async def _try(
        self, message_id: str, sender: bytes, recipient: bytes, content: bytes
    ) -> tuple[RecipientOutcome, bool]:
        connection = self._connection
        assert connection is not None
        seasoned = connection.mails > 0
        try:
            stage, reply = await connection.mail(sender, recipient, content)
        except LostError as error:
            await self.close()
            evidence = Evidence(request=f"mail to {self.relay}", excerpt=str(error))
            if error.dot_sent:
                detail = f"{self.relay}: connection lost after the mail was sent ({error})"
                return Unconfirmed(detail=detail, evidence=evidence), False
            reason = f"{self.relay}: connection lost before the mail was sent ({error})"
            return Unavailable(reason=reason, evidence=evidence), seasoned
        if stage is Stage.BODY and 200 <= reply.code < 300:
            evidence = evidence_of(stage, reply, self.relay)
            return Delivered(remote_id=f"<{message_id}>", evidence=evidence), False
        return await self._refused(stage, reply, seasoned=seasoned)

    async def _refused(
        self, stage: Stage, reply: Reply, *, seasoned: bool
    ) -> tuple[RecipientOutcome, bool]:
        outcome = outcome_of(stage, reply, self.relay)
        if reply.code == 421:
            await self.close()
            # A relay that closes after so many mails, or after a pause, opens again at once.
            return outcome, seasoned and isinstance(outcome, Unavailable)
        if isinstance(outcome, AccessLost) and len(self._relays) > 1:
            await self.close()
            self._relays = [relay for relay in self._relays if relay != self._relay]
            return outcome, True
        return outcome, False

    async def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(LostError):
                await connection.close()


async def enter(relay: Relay, settings: NewsletterSettings) -> Connection:
    """A connection to one relay. Errors: LostError, RefusedError, OSError (its `ca_file`)."""
    server = Server(
        host=relay.host,
        port=relay.port,
        tls=relay.tls,
        context=None if relay.tls == "none" else tls_context(relay.ca_file),
        our_name=settings.domain,
        timeout=settings.timeout,
    )
    return await connect(
        server, username=relay.username, password=relay.password.get_secret_value()
    )


def _fault(relay: Relay, error: LostError | RefusedError | OSError) -> Outcome:
    if not isinstance(error, RefusedError):
        return Unavailable(
            reason=f"{relay.label}: {error}",
            evidence=Evidence(request=f"connect to {relay.label}", excerpt=str(error)),
        )
    outcome = outcome_of(error.stage, error.reply, relay.label)
    if isinstance(outcome, Unreachable):
        return Unavailable(reason=outcome.detail, evidence=outcome.evidence)
    return outcome


def worst(faults: Sequence[Outcome]) -> Outcome:
    """One answer for all relays: the one that heals by itself first, since it is enough that one
    relay comes back; a login to repair only when nothing else is left."""
    for kind in (Unavailable, Throttled, AccessLost):
        for fault in faults:
            if isinstance(fault, kind):
                return fault
    return faults[0]


async def look(settings: NewsletterSettings) -> Health:
    """EHLO, TLS, login and NOOP on every relay. One that works is enough to be degraded only."""
    faults: list[Outcome] = []
    for relay in settings.relays:
        try:
            connection = await enter(relay, settings)
            reply = await connection.command(b"NOOP")
            await connection.close()
            if not reply.accepted:
                raise RefusedError(Stage.NOOP, reply)  # noqa: TRY301 -- one road for every fault
        except (LostError, RefusedError, OSError) as error:
            faults.append(_fault(relay, error))
    if not faults:
        return Health(status=HealthStatus.HEALTHY)
    found = _health(worst(faults))
    if len(faults) < len(settings.relays):
        return replace(found, status=HealthStatus.DEGRADED)
    return found


def _health(fault: Outcome) -> Health:
    match fault:
        case AccessLost():
            return Health(
                status=HealthStatus.ACCESS_LOST,
                detail=fault.detail,
                remedy=fault.remedy,
                reason=fault.reason,
                evidence=fault.evidence,
            )
        case Throttled():
            return Health(
                status=HealthStatus.THROTTLED, detail=fault.reason, evidence=fault.evidence
            )
        case Unavailable():
            return Health(
                status=HealthStatus.PLATFORM_DOWN, detail=fault.reason, evidence=fault.evidence
            )
        case _:
            return Health(status=HealthStatus.DEGRADED, detail=str(fault))
