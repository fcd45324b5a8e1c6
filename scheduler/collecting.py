"""The mailboxes that bounces come back to, emptied of what tells us something.

A mail's effect and the note of how far we read are one transaction; mails are put away after it,
so that a kill anywhere neither skips a report nor counts it twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from typing import Any, cast

import structlog

from channels.abilities import Collects, Haul
from channels.base import Broadcasts
from channels.outcome import AccessLost, Unavailable
from scheduler.audience.returns import Kind, Returned, read, slot_of
from scheduler.clock import Clock
from scheduler.returned import RELAY, Returns
from scheduler.roster import Member, Roster
from scheduler.store import accounts
from scheduler.store import returns as store
from scheduler.store.alerts import raise_alert, resolve
from scheduler.store.db import Database
from scheduler.store.returns import Progress
from scheduler.vault import Vault

log = structlog.get_logger()

# Shorter than a turn of duty, so that a full mailbox does not outlive it; the rest waits.
MOST_SECONDS = 45.0
# A server that does not answer once or twice is no news.
TOLD_AFTER = 3
AT_ONCE = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Collector:
    """Reads every account's mailbox."""

    database: Database
    roster: Roster
    clock: Clock
    returns: Returns
    vault: Vault

    async def round(self) -> int:
        """Read what is new in all mailboxes; how many reports told us something new."""
        members = (await self.roster.everyone()).values()
        return sum([await self._emptied(member) for member in members if _has_mailbox(member)])

    async def count_full(self, since: int) -> int:
        """Count the mailboxes that the relays themselves called full, in mailings that ended at or
        after `since`, as their bounces would be; how many were new to us."""
        members = await self.roster.everyone()
        ids = [one.id for one in members.values() if _writes_mail(one)]
        rows = await store.full_mailboxes(self.database, ids, since=since)
        told = 0
        for start in range(0, len(rows), AT_ONCE):
            now = self.clock.micros()
            async with self.database.write() as connection:
                for row in rows[start : start + AT_ONCE]:
                    named = f"relay {row['delivery_id']}/{row['contact_id']}"
                    told += await self.returns.apply(
                        connection,
                        Returned(Kind.REFUSED, row["contact_id"], row["code"], row["detail"]),
                        slot=sha256(named.encode()).hexdigest(), source=RELAY, now=now,
                    )  # fmt: skip
        return told

    async def _emptied(self, member: Member) -> int:
        count = 0
        try:
            async with asyncio.timeout(MOST_SECONDS):
                while True:
                    before = await store.progress(self.database, member.id)
                    told, again = await self._visit(member, before)
                    count += told
                    if not again:
                        return count
        except TimeoutError:
            log.warning("mailbox.long", account=member.id, read=count)
        except Exception:  # one mailbox's trouble is not the others'
            log.exception("mailbox.failed", account=member.id)
        return count

    async def _visit(self, member: Member, before: Progress) -> tuple[int, bool]:
        """One connection: how many reports told us something, and whether to come again."""
        channel = cast("Collects", member.channel)
        found = await channel.collect(
            member.account, since=before.bookmark, handled=before.handled,
            keep=partial(self.keep, member),
        )  # fmt: skip
        if not isinstance(found, Haul):
            await self._broken(member, found)
            return 0, False
        handled, told = await self._applied(member, before, found)
        return told, found.more or bool(handled)

    async def keep(self, member: Member, changed: Mapping[str, Any]) -> None:
        """Another refresh token, say. Who changed the account meanwhile is right."""
        before = member.account.settings
        settings = type(before).model_validate({**dict(before), **changed})
        async with self.database.write() as connection:
            await accounts.renew(
                connection, self.vault, account_id=member.id, before=before, settings=settings,
                now=self.clock.micros(),
            )  # fmt: skip

    async def _applied(
        self, member: Member, before: Progress, found: Haul
    ) -> tuple[list[int], int]:
        """The mails that were reports about readers of ours, and how many were new to us."""
        # A long mail takes a while to take apart; posts are to be on time meanwhile.
        reports = await asyncio.to_thread(_reports, self.returns.key, found)
        now = self.clock.micros()
        told = 0
        async with self.database.write() as connection:
            if not await store.move_on(
                connection, member.id, before=before, bookmark=found.bookmark,
                handled=list(reports), now=now,
            ):  # fmt: skip
                log.info("mailbox.read-by-another", account=member.id)
                return [], 0
            for slot, returned in reports.values():
                told += await self.returns.apply(
                    connection, returned, slot=slot, source="mailbox", now=now
                )
            if before.failures:
                await resolve(connection, _fact(member), now)
        if reports:
            log.info("mailbox.read", account=member.id, reports=len(reports), new=told)
        return list(reports), told

    async def _broken(self, member: Member, found: AccessLost | Unavailable) -> None:
        cause = found.detail if isinstance(found, AccessLost) else found.reason
        log.warning("mailbox.broken", account=member.id, reason=cause)
        now = self.clock.micros()
        async with self.database.write() as connection:
            failures = await store.failed(connection, self.database, member.id, now)
            if isinstance(found, Unavailable) and failures < TOLD_AFTER:
                return
            remedy = found.remedy if isinstance(found, AccessLost) else ""
            await raise_alert(
                connection,
                self.database,
                fact=_fact(member),
                kind="account.mailbox-broken",
                severity="warning",
                data={
                    "account_id": member.id,
                    "cause": cause,
                    "action": remedy or "look whether the server answers at this address",
                },
                now=now,
            )


def _has_mailbox(member: Member) -> bool:
    return isinstance(member.channel, Collects) and member.channel.collects(member.account)


def _reports(key: bytes, found: Haul) -> dict[int, tuple[str, Returned]]:
    """The mails that are reports about readers of ours, with the slot of each, by UID."""
    reports: dict[int, tuple[str, Returned]] = {}
    for uid, mail in sorted(found.mails.items()):
        try:
            returned = read(key, mail)
        except Exception:  # a mail that cannot be read must not be read for ever
            log.exception("mailbox.unreadable", uid=uid)
            continue
        if returned is not None:
            reports[uid] = slot_of(mail, returned), returned
    return reports


def _writes_mail(member: Member) -> bool:
    return isinstance(member.channel, Broadcasts) and member.channel.capabilities.address == "email"


def _fact(member: Member) -> str:
    return f"account:{member.id}:mailbox"
