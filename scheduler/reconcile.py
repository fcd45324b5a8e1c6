"""Deliveries that wait for certainty: looked for on the platform before anything else.

Found: delivered. Proven absent, with patience (platforms show a new post late): sent again.
Cannot tell: held, and a person is asked. Never a blind resend.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, cast

import structlog
import uuid_utils

from channels.base import Capabilities, Publishes
from channels.outcome import Delivered, Finding
from channels.posts import Message
from scheduler import metrics, tracing
from scheduler.changes import Change, Columns, columns, event
from scheduler.clock import Clock, moment
from scheduler.decide import SECOND, Move
from scheduler.deliveries import Delivery, HoldReason, State
from scheduler.doubt import LookPolicy, Verdict, conclude, sent_between
from scheduler.ending import end
from scheduler.legible import legible
from scheduler.looking import Places
from scheduler.rendering import Renderer
from scheduler.roster import Member
from scheduler.store import looks
from scheduler.store.completions import write_attempts, write_changes
from scheduler.store.db import Database
from scheduler.store.events import append
from scheduler.unwritable import Patience, hold_undecided
from scheduler.warning import SETTLE, warn

log = structlog.get_logger()

PAGE = 200
_AGAIN = 0.02  # after a place became free: others may follow
LOOK_TIMEOUT = 15.0
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciler:
    """Claims due looks, looks, writes what was found. One per worker."""

    database: Database
    renderer: Renderer
    clock: Clock
    worker: str
    policy: LookPolicy
    mover: Callable[[Delivery, Move], Awaitable[object]]
    _places: Places = field(default_factory=Places)
    _under_way: set[asyncio.Task[None]] = field(default_factory=set)
    _patience: Patience = field(default_factory=Patience)
    _freed: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self, interval: float) -> None:
        """Begin looks until cancelled. Each is on its own: a platform that hangs keeps its own
        deliveries waiting, and nobody else's."""
        try:
            while True:
                self._freed.clear()
                try:
                    waiting = await self.begin()
                except Exception:  # the database is away: its return must find us looking
                    log.exception("reconciling.failed")
                    metrics.DB_ERRORS.labels("reconciling").inc()
                    waiting = False
                if waiting:
                    with suppress(TimeoutError):
                        async with asyncio.timeout(interval):
                            await self._freed.wait()
                    await asyncio.sleep(min(_AGAIN, interval))
                else:
                    await asyncio.sleep(interval)
        finally:
            await end(self._under_way)

    async def begin(self) -> bool:
        """Begin what is due and has a place; whether some is due and has none."""
        now = self.clock.micros()
        without = self._places.full()
        waiting = bool(without)
        while due := await looks.due_looks(self.database, now=now, without=without, limit=PAGE):
            members = await self.renderer.roster.members({account for _, account in due})
            channels = {id_: member.channel.name for id_, member in members.items()}
            chosen, passed = self._places.choose(due, channels)
            elsewhere = await self._claim(chosen, channels, now)
            waiting = waiting or bool(passed)
            without.update(passed, elsewhere)  # each page claims some or passes accounts over
            if len(due) < PAGE:
                break
        return waiting

    async def _claim(
        self, chosen: Sequence[tuple[str, str]], channels: Mapping[str, str], now: int
    ) -> set[str]:
        """Claim these and begin; the places of those that another worker had go back. Accounts of
        those: they may be locked, and due to whoever reads, until that worker commits."""
        claimed: dict[str, Delivery] = {}
        elsewhere: set[str] = set()
        try:
            if chosen:
                found = await looks.claim_looks(
                    self.database,
                    [delivery for delivery, _ in chosen],
                    now=now,
                    worker=self.worker,
                    token=str(uuid_utils.uuid7()),
                    lease_until=now + int(2 * LOOK_TIMEOUT * SECOND),
                )
                claimed = {delivery.id: delivery for delivery in found}
        finally:
            for delivery_id, account in chosen:
                place = account, channels.get(account, account)
                if delivery_id in claimed:
                    self._start(claimed[delivery_id], place)
                else:
                    self._places.leave(*place)
                    elsewhere.add(account)
        return elsewhere

    def _start(self, delivery: Delivery, place: tuple[str, str]) -> None:
        def over(task: asyncio.Task[None]) -> None:
            self._under_way.discard(task)
            self._places.leave(*place)
            self._freed.set()

        task = asyncio.get_running_loop().create_task(self._settle(delivery))
        self._under_way.add(task)
        task.add_done_callback(over)

    async def _settle(self, delivery: Delivery) -> None:
        structlog.contextvars.bind_contextvars(delivery=delivery.id, attempt=delivery.attempt)
        try:
            if delivery.state is State.HELD:
                await self.mover(delivery, Move(f"held past its deadline: {delivery.cause}"))
            else:
                with tracing.span("reconcile", delivery.trace, tracing.of(delivery)):
                    await self._look(delivery)
        except Exception as error:  # its own trouble, not the others'; its lease brings it back
            log.exception("look.failed", delivery=delivery.id)
            if delivery.state is not State.HELD and self._patience.ends(delivery.id, error):
                await self._give_up(delivery)
        else:
            self._patience.forget(delivery.id)

    async def _give_up(self, delivery: Delivery) -> None:
        """What looking finds cannot be written, again and again."""
        now, actor = self.clock.micros(), f"worker:{self.worker}"
        try:
            await hold_undecided(self.database, delivery, in_doubt=True, actor=actor, now=now)
        except Exception:  # with the next look it is tried again
            log.exception("giving-up.failed", delivery=delivery.id)
        else:
            self._patience.forget(delivery.id)

    async def _look(self, delivery: Delivery) -> None:
        prepared = await self._prepared(delivery)
        capabilities = None if prepared is None else prepared[0].channel.capabilities
        if capabilities is not None and capabilities.addressed:
            # A broadcast knows its recipients one by one: it goes on where it stopped.
            await self._write(
                delivery, self._again(delivery, "its broadcast goes on"), Verdict.RESUMED
            )
            return
        started_at = self.clock.micros()
        found = Finding.UNKNOWN if prepared is None else await self._find(delivery, *prepared)
        now = self.clock.micros()
        if isinstance(found, Delivered):
            new = columns(
                delivery, State.DELIVERED, now, remote_id=found.remote_id, url=found.url,
                cause="found on the platform after a lost answer",
            )  # fmt: skip
            await self._write(delivery, new, Verdict.FOUND, started_at)
            return
        verdict = self._concluded(delivery, found, capabilities, now)
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

    def _concluded(
        self, delivery: Delivery, found: Finding, capabilities: Capabilities | None, now: int
    ) -> Verdict:
        earliest, latest = sent_between(delivery)
        age = timedelta(microseconds=now - earliest)
        settles_after = timedelta(0) if capabilities is None else capabilities.settles_after
        return conclude(
            found,
            sent_at=latest,
            now=now,
            idempotent=capabilities is not None and capabilities.forgives_resend(age),
            settles_us=settles_after // _MICROSECOND,
            policy=self.policy,
        )

    async def _prepared(self, delivery: Delivery) -> tuple[Member, Message] | None:
        """What to look for, and where. None when that cannot be told: a doubt that nobody can look
        into has to become a person's question as well."""
        try:
            return await self.renderer.again(delivery)
        except Exception:
            log.exception("look.unprepared", delivery=delivery.id)
            return None

    async def _find(
        self, delivery: Delivery, member: Member, message: Message
    ) -> Delivered | Finding:
        publisher = cast("Publishes", member.channel)
        since = moment(sent_between(delivery)[0])
        try:
            async with asyncio.timeout(LOOK_TIMEOUT):
                found = await publisher.find(message, member.account, key=delivery.id, since=since)
            return legible(found) if isinstance(found, Delivered) else found
        except TimeoutError:
            return Finding.UNKNOWN
        except Exception:
            log.exception("find.unforeseen", channel=member.channel.name)
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
                await warn(
                    connection, self.database, delivery, kind="delivery.unconfirmed",
                    cause=new["cause"], action=SETTLE, now=now,
                )  # fmt: skip


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
