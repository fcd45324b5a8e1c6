"""Group commit: outcomes of many sends in one transaction, each fenced by its token."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

import structlog

from scheduler import belated, metrics, tracing
from scheduler.attempt import Attempted, detail_of
from scheduler.changes import Change, decided, event, outcome_name
from scheduler.clock import Clock
from scheduler.decide import Again, Done, Hold, Look, Move, Wait
from scheduler.deliveries import Delivery
from scheduler.journal import Journal
from scheduler.limits import AccountSign, Sign, gravest
from scheduler.store.alerts import raise_alert, resolve
from scheduler.store.db import Connection, Database
from scheduler.store.events import Event, append, line
from scheduler.store.outcomes import Ended, Outcomes, open_outcomes, write_in
from scheduler.store.roster import apply_signs

log = structlog.get_logger()

# Seconds between two commits: twice what the last one took, within these, so that a slow
# database gets larger groups.
_SHORTEST, _LONGEST = 0.005, 0.03
_FLUSH_AT = 200
_RETRY_AFTER = 0.5

_EVENT_KINDS = {
    Done: "delivery.delivered",
    Wait: "delivery.accepted",
    Again: "delivery.retried",
    Look: "delivery.unconfirmed",
    Hold: "delivery.held",
}

Mover = Callable[[Delivery, Move], Awaitable[None]]


@dataclass(slots=True)
class Completer:
    """Collects what attempts came to and commits it every few milliseconds.

    `mover` takes over deliveries that need another road, once their attempt is committed. When the
    database is away, outcomes and moves stay in memory and are tried again: their leases keep
    everyone else off.
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
    _group: int = _FLUSH_AT

    def __post_init__(self) -> None:
        self._outcomes = open_outcomes(self.database)

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
        time = asyncio.get_running_loop().time
        pause = _SHORTEST
        while True:
            await self._wake.wait()
            if len(self._pending) < _FLUSH_AT:
                await asyncio.sleep(pause)
            begun = time()
            try:
                await self._write()
                pause = min(max(2 * (time() - begun), _SHORTEST), _LONGEST)
                await self._move()
                await self._settle_belated()
            except Exception:  # whatever the database's driver raises: try again, lose nothing
                log.exception("completion.failed", outcomes=len(self._pending))
                metrics.DB_ERRORS.labels("completion").inc()
                await asyncio.sleep(_RETRY_AFTER)
                continue
            if not self.pending:
                self._wake.clear()
                self._idle.set()

    async def _write(self) -> None:
        """Commit the next group; after one that failed, one outcome first, then twice as many
        each time: what cannot be written comes last, and keeps none of the others waiting."""
        batch = self._pending[: self._group]
        if not batch:
            return
        try:
            await self._commit(batch)
        except Exception:
            if len(batch) == 1:
                self._pending.append(self._pending.pop(0))
            self._group = 1
            raise
        del self._pending[: len(batch)]
        self._group = min(2 * self._group, _FLUSH_AT)

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
            await belated.settle(self.database, attempted, now=now, actor=f"worker:{self.worker}")
            self._belated.remove(attempted)

    async def _commit(self, batch: Sequence[Attempted]) -> None:
        now = self.clock.micros()
        ended = [self._ended(attempted, now) for attempted in batch]
        signs = gravest((a.armed.member.id, a.sign) for a in batch if a.sign is not None)
        if signs:
            changed = await self._with_signs(ended, signs, now)
        else:
            changed = await self._outcomes.write(ended, now)
        _count(batch)
        for attempted, one in zip(batch, ended, strict=True):
            self._after(attempted, stale=one.stale(changed))

    def _ended(self, attempted: Attempted, now: int) -> Ended:
        armed = attempted.armed
        new = decided(armed.delivery, attempted.decision, attempted.started_at, now)
        return Ended(
            None if new is None else Change(armed.delivery, armed.token, new),
            attempted.row(self.worker),
            self._line(attempted, now),
        )

    async def _with_signs(
        self, ended: Sequence[Ended], signs: Mapping[str, AccountSign], now: int
    ) -> set[str]:
        """What the outcomes say of accounts is written with them."""
        async with self.database.write() as connection:
            # Accounts before deliveries, as whoever judges a probe: else the two could deadlock.
            told = await apply_signs(connection, signs, now)
            changed = await write_in(connection, ended, now)
            for account_id in told:
                sign = signs[account_id]
                await append(connection, [_sign_line(account_id, sign, now, self.worker)])
                await self._sign_alert(connection, account_id, sign, now)
        return changed

    def _after(self, attempted: Attempted, *, stale: bool) -> None:
        """What follows the commit; another road is taken next."""
        delivery, channel = attempted.armed.delivery, attempted.armed.member.channel.channel
        log.info(
            "delivery.attempted", delivery=delivery.id, post=delivery.post_id,
            account=delivery.account_id, channel=channel, attempt=delivery.attempt,
            outcome=outcome_name(attempted.outcome),
            decision=type(attempted.decision).__name__.lower(), late_us=attempted.late_us,
            took_us=attempted.finished_at - attempted.started_at,
        )  # fmt: skip
        if tracing.on():
            named = tracing.of(delivery, decision=type(attempted.decision).__name__.lower())
            tracing.record(
                "complete", delivery.trace, attempted.finished_at, self.clock.micros(), named
            )
        self.journal.settled(delivery.id, delivery.attempt)
        if isinstance(attempted.decision, Move):
            self._moves.append((attempted, attempted.decision))
        elif stale:
            metrics.LEASES_LOST.inc()
            log.warning("lease.lost", delivery=delivery.id, saw=outcome_name(attempted.outcome))
            if belated.matters(attempted):
                self._belated.append(attempted)

    def _line(self, attempted: Attempted, now: int) -> Event:
        kind = _EVENT_KINDS.get(type(attempted.decision), "delivery.refused")
        data: dict[str, object] = {"outcome": outcome_name(attempted.outcome)}
        if isinstance(attempted.decision, Done | Wait):
            data |= {"url": attempted.decision.url, "late_us": attempted.late_us}
        else:
            data["detail"] = detail_of(attempted.outcome)
        if isinstance(attempted.decision, Again):
            data["again_at"] = attempted.decision.at
        return event(kind, attempted.armed.delivery, now, f"worker:{self.worker}", data)

    async def _sign_alert(
        self, connection: Connection, account_id: str, sign: AccountSign, now: int
    ) -> None:
        """A person learns of lost access and of a policy block; a recovery closes the alert."""
        fact = f"account:{account_id}:access"
        if sign.sign is Sign.WELL:
            await resolve(connection, fact, now)
        elif sign.sign is Sign.ACCESS_LOST or sign.reason == "policy":
            await raise_alert(
                connection,
                self.database,
                fact=fact,
                kind="account.access-lost",
                severity="critical",
                data={
                    "account_id": account_id,
                    "cause": sign.detail,
                    "action": "reconnect the account; its posts are held until then",
                },
                now=now,
            )


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


def _sign_line(account_id: str, sign: AccountSign, now: int, worker: str) -> Event:
    data = {"reason": sign.reason, "detail": sign.detail, "paused_until": sign.paused_until}
    return line(f"account.{sign.sign.value}", now, f"worker:{worker}", data, account_id=account_id)
