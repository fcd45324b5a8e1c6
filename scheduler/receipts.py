"""Later news from a platform, put into effect: windows open, doubts end, suspicion wakes.

Each receipt counts once, in the transaction that says so. News about an account that shows trouble
proves nothing by itself: it only makes the next probe come at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, assert_never

import structlog

from channels.receipts import Receipt, ReceiptKind
from scheduler.audience.returns import Kind, Returned, kind_of
from scheduler.audience.suppression import fingerprint, normal_address
from scheduler.changes import Change, columns, event
from scheduler.clock import Clock, micros
from scheduler.decide import SECOND
from scheduler.deliveries import State
from scheduler.returned import Returns, named_by
from scheduler.roster import Member
from scheduler.store import afterwards, contacts
from scheduler.store import receipts as store
from scheduler.store.alerts import resolve
from scheduler.store.completions import write_changes
from scheduler.store.db import Connection, Database
from scheduler.store.events import append, note_account
from scheduler.store.recipients import suppress

log = structlog.get_logger()

# Longer than any platform repeats a webhook (Meta: 36 hours).
KEPT = 7 * 24 * 3600 * SECOND
# Longer than a word that is signed for one body counts: a day before and a day after its moment.
WORDS_KEPT = 2 * 24 * 3600 * SECOND


class ReplayedError(Exception):
    """What was signed for one body came with another."""


@dataclass(frozen=True, slots=True)
class Once:
    """A word that is good for this body alone."""

    word: str
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Taker:
    """Takes what an account's platform says. `key`: of the suppression list; `returns`: what
    becomes of mails that came back."""

    database: Database
    clock: Clock
    key: bytes
    returns: Returns

    async def take(self, member: Member, told: Sequence[Receipt], once: Once | None = None) -> int:
        """Store and apply what is new in `told`, all or nothing; how many that was. Error:
        ReplayedError."""
        now = self.clock.micros()
        async with self.database.write() as connection:
            if once is not None and await store.used(
                self.database, connection, member.id, word=once.word, body=once.body,
                at=now - KEPT + WORDS_KEPT,
            ):  # fmt: skip
                raise ReplayedError
            fresh = await store.take(
                self.database, connection, member.id, told, now=now, forget_before=now - KEPT
            )
            for receipt in fresh:
                await self._apply(connection, member, receipt, now)
        if fresh:
            kinds = sorted({one.kind.value for one in fresh})
            log.info("receipts.taken", account=member.id, count=len(fresh), kinds=kinds)
        return len(fresh)

    async def _apply(
        self, connection: Connection, member: Member, receipt: Receipt, now: int
    ) -> None:
        match receipt.kind:
            case ReceiptKind.MESSAGE | ReceiptKind.ANSWER:
                await self._heard(connection, member, receipt, now)
            case ReceiptKind.ECHO | ReceiptKind.DELIVERED:
                await self._settle(connection, member, receipt, now)
            case ReceiptKind.REFUSED:
                await self._refused(connection, member, receipt, now)
            case ReceiptKind.REMOVED:
                await store.look_soon(connection, member.id)
                await self._note(connection, "account.removal-told", member, receipt, now)
            case ReceiptKind.FAILED | ReceiptKind.COMPLAINED:
                await self._returned(connection, member, receipt, now)
            case ReceiptKind.ARRIVED:
                await self._arrived(connection, member, receipt, now)
            case ReceiptKind.READ | ReceiptKind.CHANGED:
                pass  # nothing waits for these
            case _:
                assert_never(receipt.kind)

    async def _heard(
        self, connection: Connection, member: Member, receipt: Receipt, now: int
    ) -> None:
        """A person wrote, or tapped an answer: the conversation is open."""
        if not receipt.address or receipt.writable_until is None:
            return
        contact_id = await store.open_window(
            self.database,
            connection,
            account_id=member.id,
            channel=member.channel.channel,
            address=receipt.address,
            until=micros(receipt.writable_until),
            heard_at=micros(receipt.at),
            now=now,
        )
        if receipt.kind is ReceiptKind.ANSWER:
            data = {"contact_id": contact_id, "payload": receipt.payload}
            await self._note(connection, "contact.answered", member, receipt, now, data)

    async def _settle(
        self, connection: Connection, member: Member, receipt: Receipt, now: int
    ) -> None:
        """The platform has it: what was accepted or in doubt is delivered."""
        delivery_id, _, contact_id = receipt.key.partition("/")
        if contact_id:
            await store.reached(connection, member.id, delivery_id, contact_id, now)
            return
        remote_ids = [receipt.remote_id] if receipt.remote_id else []
        keys = [receipt.key] if receipt.key else []
        for delivery in await store.in_doubt(connection, member.id, remote_ids, keys):
            new = columns(
                delivery, State.DELIVERED, now, remote_id=receipt.remote_id,
                cause="confirmed by the platform",
            )  # fmt: skip
            await write_changes(connection, [Change(delivery, delivery.token, new)], now)
            await resolve(connection, f"delivery:{delivery.id}:unconfirmed", now)
            data = {"outcome": "receipt", "url": delivery.url}
            line = event("delivery.delivered", delivery, now, _actor(member), data)
            await append(connection, [line])

    async def _refused(
        self, connection: Connection, member: Member, receipt: Receipt, now: int
    ) -> None:
        """A person asked not to be written to again."""
        if not receipt.address:
            return
        await store.close_window(connection, member.id, receipt.address, now)
        row = {
            "hash": fingerprint(self.key, receipt.address),
            "reason": "refused",
            "detail": f"said so on {member.channel.channel}",
            "at": now,
        }
        await suppress(self.database, connection, [row])

    async def _returned(
        self, connection: Connection, member: Member, receipt: Receipt, now: int
    ) -> None:
        """A provider tells of a mail what a bounce would have told."""
        person = await contacts.by_email(connection, normal_address(receipt.address))
        if person is None:
            return
        failed = receipt.kind is ReceiptKind.FAILED
        kind = kind_of(receipt.status, receipt.text) if failed else Kind.COMPLAINT
        await self.returns.apply(
            connection, Returned(
                kind, person["id"], receipt.status, receipt.text, receipt.remote_id or ""
            ),
            slot=sha256(f"{member.channel.name} {receipt.id}".encode()).hexdigest(),
            source="webhook", now=now,
        )  # fmt: skip

    async def _arrived(
        self, connection: Connection, member: Member, receipt: Receipt, now: int
    ) -> None:
        """A provider tells that a reader's own server took a mail."""
        person = await contacts.by_email(connection, normal_address(receipt.address))
        if person is None:
            return
        about = receipt.remote_id
        await afterwards.arrived(
            connection, person["id"], member.id,
            names=None if about is None else named_by(about, person["id"]),
            at=min(micros(receipt.at), now), now=now,
        )  # fmt: skip

    async def _note(
        self,
        connection: Connection,
        kind: str,
        member: Member,
        receipt: Receipt,
        now: int,
        data: dict[str, Any] | None = None,
    ) -> None:
        await note_account(
            connection, kind, member.id, actor=_actor(member), now=now,
            data=data or {"remote_id": receipt.remote_id},
        )  # fmt: skip


def _actor(member: Member) -> str:
    return f"platform:{member.channel.name}"[:64]
