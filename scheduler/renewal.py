"""Credentials renewed before they end, without a person, where the platform allows it.

What a renewal does not name keeps its value: most answers bring no new refresh token. When the
platform refuses, a person is told while the old credential still works.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import structlog
from tenacity import AsyncRetrying, retry_if_result, stop_after_attempt, wait_random_exponential

from channels.abilities import Refreshes
from channels.outcome import AccessLost, HealthStatus, Unavailable
from scheduler.answers import stamp_or_none
from scheduler.clock import Clock, micros
from scheduler.decide import SECOND
from scheduler.roster import Member, Roster
from scheduler.store import accounts as store
from scheduler.store.alerts import raise_alert, resolve
from scheduler.store.db import Connection, Database
from scheduler.store.events import note_account
from scheduler.vault import Vault

log = structlog.get_logger()

TRIES = 3
# After a renewal that failed, the next one of this account waits so long.
AGAIN_AFTER = 600 * SECOND
REFUSED_AGAIN_AFTER = 6 * 3600 * SECOND
_BROKEN = {HealthStatus.ACCESS_LOST, HealthStatus.VANISHED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Renewer:
    """Looks for credentials whose time has come. `patience`: longest wait between two tries."""

    database: Database
    roster: Roster
    clock: Clock
    vault: Vault
    actor: str
    patience: timedelta = timedelta(seconds=5)
    _resting: dict[str, int] = field(default_factory=dict)

    async def look(self) -> int:
        """Renew what is due; how many were renewed."""
        renewed = 0
        for member in (await self.roster.everyone()).values():
            if isinstance(member.channel, Refreshes) and self._due(member, member.channel):
                renewed += await self._renew(member, member.channel)
        return renewed

    def _due(self, member: Member, channel: Refreshes) -> bool:
        now = self.clock.micros()
        if member.status in _BROKEN or self._resting.get(member.id, 0) > now:
            return False
        at = channel.refresh_at(member.account)
        return at is not None and micros(at) <= now

    async def _renew(self, member: Member, channel: Refreshes) -> bool:
        try:
            answer = await self._asked(member, channel)
        except Exception:  # one account's trouble is not the others'
            log.exception("renewal.failed", account=member.id)
            self._rest(member, AGAIN_AFTER)
            return False
        if isinstance(answer, Unavailable):
            log.warning("renewal.unavailable", account=member.id, reason=answer.reason)
            self._rest(member, AGAIN_AFTER)
            return False
        if isinstance(answer, AccessLost):
            self._rest(member, REFUSED_AGAIN_AFTER)
            await self._tell(member, answer)
            return False
        return await self._keep(member, answer)

    async def _asked(
        self, member: Member, channel: Refreshes
    ) -> Mapping[str, Any] | AccessLost | Unavailable:
        """A renewal publishes nothing: it may be asked for again."""
        tries = AsyncRetrying(
            retry=retry_if_result(lambda answer: isinstance(answer, Unavailable)),
            stop=stop_after_attempt(TRIES),
            wait=wait_random_exponential(max=self.patience.total_seconds()),
            retry_error_callback=lambda state: state.outcome.result() if state.outcome else None,
        )
        answer: Mapping[str, Any] | AccessLost | Unavailable
        answer = await tries(channel.refresh, member.account)
        return answer

    def _rest(self, member: Member, pause_us: int) -> None:
        self._resting[member.id] = self.clock.micros() + pause_us

    async def _keep(self, member: Member, changed: Mapping[str, Any]) -> bool:
        before = member.account.settings
        settings = type(before).model_validate({**dict(before), **changed})
        now = self.clock.micros()
        async with self.database.write() as connection:
            kept = await store.renew(
                connection, self.vault, account_id=member.id, before=before, settings=settings,
                now=now,
            )  # fmt: skip
            if kept:
                await resolve(connection, f"account:{member.id}:renewal", now)
                await self._note(connection, "account.renewed", member, now, sorted(changed))
        log.info("account.renewed", account=member.id, kept=kept)
        return kept

    async def _tell(self, member: Member, lost: AccessLost) -> None:
        now = self.clock.micros()
        async with self.database.write() as connection:
            row = await store.get(connection, member.id)
            ends_at = None if row is None else stamp_or_none(row["expires_at"])
            await raise_alert(
                connection,
                self.database,
                fact=f"account:{member.id}:renewal",
                kind="account.renewal-failed",
                severity="critical",
                data={
                    "account_id": member.id,
                    "reason": lost.reason.value,
                    "cause": lost.detail,
                    "ends_at": ends_at,
                    "action": lost.remedy or "reconnect the account",
                },
                now=now,
            )
            await self._note(connection, "account.renewal-refused", member, now, [])

    async def _note(
        self, connection: Connection, kind: str, member: Member, now: int, changed: list[str]
    ) -> None:
        await note_account(
            connection, kind, member.id, actor=self.actor, now=now, data={"changed": changed}
        )
