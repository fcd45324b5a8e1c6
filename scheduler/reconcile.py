"""Deliveries that wait for certainty: looked for on the platform before anything else.

Found: delivered. Proven absent, with patience (platforms show a new post late): sent again.
Cannot tell: held, and a person is asked. Never a blind resend.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any, cast

import structlog
import uuid_utils

from channels.base import Publishes
from channels.outcome import Delivered, Finding
from channels.posts import Message
from scheduler import metrics, tracing
from scheduler.changes import Change, Columns, columns, event
from scheduler.clock import Clock, moment
from scheduler.decide import SECOND, Move
from scheduler.deliveries import Delivery, HoldReason, State
from scheduler.rendering import Renderer
from scheduler.roster import Member
from scheduler.store import claims
from scheduler.store.alerts import raise_alert
from scheduler.store.completions import write_attempts, write_changes
from scheduler.store.db import Database
from scheduler.store.events import append

log = structlog.get_logger()

AT_ONCE = 50
LOOK_TIMEOUT = 15.0
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class LookPolicy:
    """`in_flight_us`: for how long a platform may still be busy with a request that we gave up;
    `patience_us`: longest wait for its listing to settle after that; `gap_us`: first wait between
    two looks, which doubles; `give_up_us`: when not knowing becomes a person's question."""

    in_flight_us: int = 20 * SECOND
    patience_us: int = 60 * SECOND
    gap_us: int = 5 * SECOND
    give_up_us: int = 900 * SECOND


class Verdict(StrEnum):
    """What a look concluded."""

    FOUND = "found"
    ABSENT = "absent"
    AGAIN = "again"
    HOLD = "hold"
    RESUMED = "resumed"


def conclude(
    finding: Finding,
    *,
    sent_at: int,
    now: int,
    idempotent: bool,
    settles_us: int,
    policy: LookPolicy,
) -> Verdict:
    """Pure: what an inconclusive or negative look means at this age of the doubt. `settles_us`:
    for how long the platform's own listing may still miss a new post."""
    if idempotent:
        return Verdict.ABSENT  # sending again with the same key is safe by the platform's promise
    age = now - sent_at
    settled = policy.in_flight_us + min(settles_us, policy.patience_us)
    if finding is Finding.ABSENT and age >= settled:
        return Verdict.ABSENT
    if age >= policy.give_up_us:
        return Verdict.HOLD
    return Verdict.AGAIN


def sent_between(delivery: Delivery) -> tuple[int, int]:
    """Pure: when the send in doubt may have begun, at the earliest and at the latest."""
    earliest = delivery.first_sent_at or delivery.due_at
    return earliest, max(earliest, delivery.due_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciler:
    """Claims due looks, looks, writes what was found. One per worker."""

    database: Database
    renderer: Renderer
    clock: Clock
    worker: str
    policy: LookPolicy
    mover: Callable[[Delivery, Move], Awaitable[object]]

    async def run(self, interval: float) -> None:
        """Look until cancelled."""
        while True:
            try:
                looked = await self.look_once()
            except Exception:  # the database is away: its return must find us looking
                log.exception("reconciling.failed")
                metrics.DB_ERRORS.labels("reconciling").inc()
                looked = 0
            if looked < AT_ONCE:
                await asyncio.sleep(interval)

    async def look_once(self) -> int:
        """One round; how many deliveries were looked at."""
        now = self.clock.micros()
        claimed = await claims.claim_looks(
            self.database,
            now=now,
            worker=self.worker,
            token=str(uuid_utils.uuid7()),
            lease_until=now + int(2 * LOOK_TIMEOUT * SECOND),
            limit=AT_ONCE,
        )
        if claimed:
            await asyncio.gather(*(self._settle(delivery) for delivery in claimed))
        return len(claimed)

    async def _settle(self, delivery: Delivery) -> None:
        structlog.contextvars.bind_contextvars(delivery=delivery.id, attempt=delivery.attempt)
        try:
            if delivery.state is State.HELD:
                await self.mover(delivery, Move(f"held past its deadline: {delivery.cause}"))
            else:
                with tracing.span("reconcile", delivery.trace, tracing.of(delivery)):
                    await self._look(delivery)
        except Exception:  # one delivery's trouble is not the others'; its lease brings it back
            log.exception("look.failed", delivery=delivery.id)

    async def _look(self, delivery: Delivery) -> None:
        prepared = await self.renderer.again(delivery)
        if prepared is None:
            return
        member, message = prepared
        capabilities = member.channel.capabilities
        if capabilities.addressed:
            # A broadcast knows its recipients one by one: it goes on where it stopped.
            await self._write(
                delivery, self._again(delivery, "its broadcast goes on"), Verdict.RESUMED
            )
            return
        started_at = self.clock.micros()
        found = await self._find(delivery, member, message)
        now = self.clock.micros()
        if isinstance(found, Delivered):
            new = columns(
                delivery, State.DELIVERED, now, remote_id=found.remote_id, url=found.url,
                cause="found on the platform after a lost answer",
            )  # fmt: skip
            await self._write(delivery, new, Verdict.FOUND, started_at)
            return
        earliest, latest = sent_between(delivery)
        verdict = conclude(
            found,
            sent_at=latest,
            now=now,
            idempotent=capabilities.forgives_resend(timedelta(microseconds=now - earliest)),
            settles_us=capabilities.settles_after // _MICROSECOND,
            policy=self.policy,
        )
        if verdict is Verdict.ABSENT:
            await self._write(
                delivery, self._again(delivery, "proven absent: sent again"), verdict, started_at
            )
        elif verdict is Verdict.AGAIN:
            gap = min(self.policy.gap_us * 2 ** min(delivery.looks, 10), self.policy.patience_us)
            new = columns(delivery, delivery.state, now, look_at=now + gap, cause=delivery.cause)
            await self._write(delivery, new, verdict, started_at)
        else:
            new = columns(
                delivery, State.HELD, now, hold_reason=HoldReason.UNCONFIRMED,
                cause=f"may have been published, and looking cannot tell: {delivery.cause}",
            )  # fmt: skip
            await self._write(delivery, new, verdict, started_at)

    async def _find(
        self, delivery: Delivery, member: Member, message: Message
    ) -> Delivered | Finding:
        publisher = cast("Publishes", member.channel)
        since = moment(sent_between(delivery)[0])
        try:
            async with asyncio.timeout(LOOK_TIMEOUT):
                return await publisher.find(message, member.account, key=delivery.id, since=since)
        except TimeoutError:
            return Finding.UNKNOWN

    def _again(self, delivery: Delivery, cause: str) -> Columns:
        now = self.clock.micros()
        new = columns(delivery, State.SCHEDULED, now, due_at=now, cause=cause)
        new["first_sent_at"] = None  # the next doubt, if any, starts from the next send
        return new

    async def _write(
        self, delivery: Delivery, new: Columns, verdict: Verdict, started_at: int | None = None
    ) -> None:
        now = self.clock.micros()
        actor = f"worker:{self.worker}"
        metrics.RECONCILED.labels(verdict.value).inc()
        tracing.note({"estafette.verdict": verdict.value})
        async with self.database.write() as connection:
            if not await write_changes(connection, [Change(delivery, delivery.token, new)], now):
                return
            await write_attempts(
                connection, [_row(delivery, verdict, started_at or now, now, self.worker)]
            )
            if verdict is Verdict.AGAIN:
                return
            kind = "delivery.held" if new["state"] == State.HELD else f"delivery.{verdict.value}"
            data: dict[str, Any] = {"cause": new["cause"], "url": new["url"]}
            await append(connection, [event(kind, delivery, now, actor, data)])
            if new["state"] == State.HELD:
                await raise_alert(
                    connection,
                    self.database,
                    fact=f"delivery:{delivery.id}:unconfirmed",
                    kind="delivery.unconfirmed",
                    severity="warning",
                    data={
                        "post_id": delivery.post_id,
                        "delivery_id": delivery.id,
                        "account_id": delivery.account_id,
                        "cause": new["cause"],
                        "action": "look at the page: settle it as published, or send it again",
                    },
                    now=now,
                )


def _row(
    delivery: Delivery, verdict: Verdict, started_at: int, now: int, worker: str
) -> dict[str, Any]:
    return {
        "delivery_id": delivery.id,
        "number": delivery.attempt,
        "token": delivery.token,
        "worker": worker,
        "action": "look",
        "started_at": started_at,
        "finished_at": now,
        "late_us": None,
        "outcome": verdict.value,
        "decision": verdict.value,
        "detail": "",
        "evidence": {},
        "stale": False,
    }
