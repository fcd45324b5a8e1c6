"""Group commit: outcomes of many sends in one transaction, each fenced by its token."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

import structlog

from scheduler import belated, metrics, recording, tracing
from scheduler.attempt import Attempted
from scheduler.changes import outcome_name
from scheduler.clock import Clock
from scheduler.decide import Move
from scheduler.deliveries import Delivery
from scheduler.journal import Journal
from scheduler.limits import AccountSign, gravest
from scheduler.signs import write_signs
from scheduler.store.db import Database
from scheduler.store.faults import passing
from scheduler.store.outcomes import Ended, Outcomes, open_outcomes, write_in
from scheduler.unwritable import Patience, write_least

log = structlog.get_logger()

# Seconds between two commits: twice what the last one took, within these, so that a slow
# database gets larger groups.
_SHORTEST, _LONGEST = 0.005, 0.03
_FLUSH_AT = 200
_RETRY_AFTER = 0.5

Mover = Callable[[Delivery, Move], Awaitable[None]]


@dataclass(slots=True)
class Completer:
    """Collects what attempts came to and commits it every few milliseconds.

    `mover` takes over deliveries that need another road, once their attempt is committed. When the
    database is away, outcomes and moves stay in memory and are tried again: their leases keep
    everyone else off. An outcome that it refuses though it is there becomes a person's question
    (see `scheduler.unwritable`).
    """

    database: Database
    clock: Clock
    journal: Journal
    worker: str
    mover: Mover
    _pending: list[Attempted] = field(default_factory=list)
    _moves: list[tuple[Attempted, Move]] = field(default_factory=list)
    _belated: list[Attempted] = field(default_factory=list)
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _idle: asyncio.Event = field(default_factory=asyncio.Event)
    _outcomes: Outcomes = field(init=False)
    _patience: Patience = field(default_factory=Patience)
    _group: int = _FLUSH_AT
    _pause: float = _SHORTEST

    def __post_init__(self) -> None:
        self._outcomes = open_outcomes(self.database)

    @property
    def _actor(self) -> str:
        return f"worker:{self.worker}"

    def add(self, attempted: Attempted) -> None:
        self._pending.append(attempted)
        self._idle.clear()
        self._wake.set()

    @property
    def pending(self) -> bool:
        """Whether anything is still to be committed or moved."""
        return bool(self._pending or self._moves or self._belated)

    async def drained(self) -> None:
        """Returns once everything added so far is committed, and moved where it must be."""
        if self.pending:
            await self._idle.wait()

    async def run(self) -> None:
        """Commit until cancelled; what is left then is what could not be committed."""
        failures = 0
        while True:
            await self._wake.wait()
            if len(self._pending) < _FLUSH_AT:
                await asyncio.sleep(self._pause)
            failed = await self._round()
            if failed:
                failures += 1
                # Of many that are refused, each has its try before all of them rest.
                if any(map(passing, failed)) or failures >= len(self._pending):
                    failures = 0
                    await asyncio.sleep(_RETRY_AFTER)
            elif not self.pending:
                self._wake.clear()
                self._idle.set()

    async def _round(self) -> list[Exception]:
        """One step of each kind; what went wrong, none of which keeps another kind waiting."""
        failed: list[Exception] = []
        for step in (self._write, self._move, self._settle_belated):
            try:
                await step()
            except Exception as error:  # whatever the driver raises: try again, lose nothing
                log.exception("completion.failed", outcomes=len(self._pending))
                metrics.DB_ERRORS.labels("completion").inc()
                failed.append(error)
        return failed

    async def _write(self) -> None:
        """Commit the next group; after one that failed, one outcome first, then twice as many
        each time: what cannot be written comes last, and keeps none of the others waiting."""
        batch = self._pending[: self._group]
        if not batch:
            return
        time = asyncio.get_running_loop().time
        begun = time()
        try:
            await self._commit(batch)
        except Exception as error:
            self._group = 1
            if len(batch) > 1:
                raise
            self._pending.append(self._pending.pop(0))
            if not self._patience.ends(_named(batch[0]), error):
                raise
            await self._write_least(batch[0])
            self._pending = [one for one in self._pending if one is not batch[0]]
        else:
            del self._pending[: len(batch)]
            self._group = min(2 * self._group, _FLUSH_AT)
            self._pause = min(max(2 * (time() - begun), _SHORTEST), _LONGEST)

    async def _write_least(self, attempted: Attempted) -> None:
        """The database does not take this one, but others."""
        now = self.clock.micros()
        least = await write_least(self.database, attempted, worker=self.worker, now=now)
        self._patience.forget(_named(attempted))
        _count([attempted])
        log.error("outcome.refused", **_about(attempted), known=least.known, stale=least.stale)
        self._after(attempted, stale=least.stale, known=least.known)

    async def close(self) -> None:
        """Once `run` has ended. Errors: the driver's own."""
        await self._outcomes.close()

    async def _move(self) -> None:
        """The other roads: each leaves the list once it is taken, so that a failure repeats
        nothing that is done, and one that fails keeps nobody waiting."""
        failed: Exception | None = None
        for attempted, move in tuple(self._moves):
            try:
                await self.mover(attempted.armed.delivery, move)
            except Exception as error:  # noqa: BLE001 -- raised below, when the others are done
                failed = error
            else:
                self._moves.remove((attempted, move))
        if failed is not None:
            raise failed

    async def _settle_belated(self) -> None:
        """What came to those whose lease was lost meanwhile."""
        for attempted in tuple(self._belated):
            self._belated.append(self._belated.pop(0))  # one that fails keeps no other waiting
            now = self.clock.micros()
            try:
                await belated.settle(self.database, attempted, now=now, actor=self._actor)
            except Exception as error:
                if not self._patience.ends(_named(attempted), error):
                    raise
                await belated.settle_least(self.database, attempted, now=now, actor=self._actor)
                self._patience.forget(_named(attempted))
            self._belated.remove(attempted)

    async def _commit(self, batch: Sequence[Attempted]) -> None:
        now = self.clock.micros()
        ended = [recording.ended(attempted, self.worker, now) for attempted in batch]
        signs = gravest((a.armed.member.id, a.sign) for a in batch if a.sign is not None)
        if signs:
            changed = await self._with_signs(ended, signs, now)
        else:
            changed = await self._outcomes.write(ended, now)
        _count(batch)
        for attempted, one in zip(batch, ended, strict=True):
            self._after(attempted, stale=one.stale(changed))

    async def _with_signs(
        self, ended: Sequence[Ended], signs: Mapping[str, AccountSign], now: int
    ) -> set[str]:
        """What the outcomes say of accounts is written with them."""
        async with self.database.write() as connection:
            await write_signs(connection, self.database, signs, now=now, actor=self._actor)
            return await write_in(connection, ended, now)

    def _after(self, attempted: Attempted, *, stale: bool, known: bool = True) -> None:
        """What follows the commit; another road is taken next. `known`: the state was written, too;
        else the journal keeps the doubt."""
        delivery = attempted.armed.delivery
        log.info(
            "delivery.attempted", **_about(attempted), post=delivery.post_id,
            account=delivery.account_id, late_us=attempted.late_us,
            took_us=attempted.finished_at - attempted.started_at,
        )  # fmt: skip
        if tracing.on():
            named = tracing.of(delivery, decision=type(attempted.decision).__name__.lower())
            tracing.record(
                "complete", delivery.trace, attempted.finished_at, self.clock.micros(), named
            )
        if known:
            self.journal.settled(delivery.id, delivery.attempt)
        if isinstance(attempted.decision, Move):
            self._moves.append((attempted, attempted.decision))
        elif stale:
            metrics.LEASES_LOST.inc()
            log.warning("lease.lost", delivery=delivery.id, saw=outcome_name(attempted.outcome))
            if belated.matters(attempted):
                self._belated.append(attempted)


def _count(batch: Sequence[Attempted]) -> None:
    """Metrics, with one look for the labels a batch: each takes a lock."""
    channels = [attempted.armed.member.channel.channel for attempted in batch]
    names = (outcome_name(attempted.outcome) for attempted in batch)
    for labels, count in Counter(zip(channels, names, strict=True)).items():
        metrics.OUTCOMES.labels(*labels).inc(count)
    lateness = {channel: metrics.LATENESS.labels(channel) for channel in set(channels)}
    for channel, attempted in zip(channels, batch, strict=True):
        if attempted.action == "send":
            lateness[channel].observe(max(attempted.late_us, 0) / 1e6)


def _about(attempted: Attempted) -> dict[str, object]:
    """For the log."""
    delivery = attempted.armed.delivery
    return {
        "delivery": delivery.id,
        "channel": attempted.armed.member.channel.channel,
        "attempt": delivery.attempt,
        "outcome": outcome_name(attempted.outcome),
        "decision": type(attempted.decision).__name__.lower(),
    }


def _named(attempted: Attempted) -> str:
    return f"{attempted.armed.delivery.id} {attempted.armed.delivery.attempt}"
