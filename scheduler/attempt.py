"""One attempt at one delivery: send, decide. Recording is the completer's."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from random import Random
from typing import Any, Protocol, cast

import structlog

from channels.base import Broadcasts, Publishes
from channels.http import NOT_AFTER
from channels.outcome import Delivered, Outcome, Unconfirmed
from channels.posts import Message
from scheduler import tracing
from scheduler.changes import evidence_json, outcome_name
from scheduler.clock import Clock
from scheduler.decide import SECOND, Decision, Rules, decide
from scheduler.deliveries import Delivery
from scheduler.journal import Answered, Journal
from scheduler.legible import legible
from scheduler.limits import AccountSign, BreakerPolicy, read_sign
from scheduler.roster import Member

log = structlog.get_logger()


@dataclass(slots=True)
class Armed:
    """A claimed delivery with everything its send needs, waiting for `fire_at` (microseconds).

    `article`: the delivery whose article its words name and which does not stand yet, None if there
    is none; waited for until `patience_until` (microseconds). `version`: of the post, as its
    message was made. `probing`: its account is on probation after failures, as the last look saw.
    """

    delivery: Delivery
    member: Member
    message: Message
    fire_at: int
    lease_until: int
    looked_at: int = 0
    article: str | None = None
    patience_until: int = 0
    version: int = 0
    probing: bool = False

    @property
    def token(self) -> str:
        assert self.delivery.token is not None  # armed rows have one
        return self.delivery.token

    def too_late(self, now: int) -> bool:
        """Whether its deadline passed while it waited."""
        return self.delivery.deadline_at is not None and now > self.delivery.deadline_at


@dataclass(slots=True)
class Attempted:
    """What one attempt came to. `late_us`: request begun minus due time."""

    armed: Armed
    outcome: Outcome
    decision: Decision
    sign: AccountSign | None
    started_at: int
    finished_at: int
    late_us: int
    action: str = "send"

    def row(self, worker: str) -> dict[str, Any]:
        """The attempt as the store keeps it, but for whether it was stale."""
        return {
            "delivery_id": self.armed.delivery.id,
            "number": self.armed.delivery.attempt,
            "token": self.armed.token,
            "worker": worker,
            "action": self.action,
            "started_at": self.started_at,
            "finished_at": self.finished_at,
            "late_us": self.late_us,
            "outcome": outcome_name(self.outcome),
            "decision": type(self.decision).__name__.lower(),
            "detail": detail_of(self.outcome),
            "evidence": evidence_json(self.outcome.evidence),
        }


class BroadcastRun(Protocol):
    """`scheduler.broadcast.run`, bound to its store: one delivery to many recipients."""

    async def __call__(
        self, delivery: Delivery, message: Message, member: Member, channel: Broadcasts
    ) -> Outcome: ...


@dataclass(frozen=True, slots=True)
class Sender:
    """Everything an attempt needs that is the same for all of them."""

    clock: Clock
    journal: Journal
    rules: Rules
    breaker: BreakerPolicy
    send_timeout: float
    rng: Random
    broadcast: BroadcastRun

    async def attempt(self, armed: Armed) -> Attempted:
        """Send once, what the journal names already. Never raises but for cancellation, which
        leaves the journal's mark and so the doubt to the next worker."""
        delivery = armed.delivery
        # A send has a task of its own: this names it in what its adapter logs, and nowhere else.
        structlog.contextvars.bind_contextvars(delivery=delivery.id, attempt=delivery.attempt)
        if not tracing.on():
            return await self._attempt(armed)
        named = tracing.of(delivery, channel=armed.member.channel.name)
        with tracing.span("send", delivery.trace, named):
            attempted = await self._attempt(armed)
            tracing.note({"estafette.outcome": outcome_name(attempted.outcome)})
            return attempted

    async def _attempt(self, armed: Armed) -> Attempted:
        delivery = armed.delivery
        started_at = self.clock.micros()
        outcome = await self._send(armed)
        finished_at = self.clock.micros()
        if isinstance(outcome, Delivered):
            said = Answered(outcome.remote_id, outcome.url, outcome.note, started_at, finished_at)
            self.journal.delivered(delivery.id, delivery.attempt, said)
        with tracing.span("decide"):
            decision = decide(outcome, delivery, finished_at, self.rules, self.rng)
        return Attempted(
            armed,
            outcome,
            decision,
            read_sign(
                outcome, armed.member.failures, armed.member.status, finished_at, self.breaker
            ),
            started_at,
            finished_at,
            started_at - delivery.due_at,
        )

    async def _send(self, armed: Armed) -> Outcome:
        channel = armed.member.channel
        try:
            # `isinstance` of a protocol looks at every method: too slow for each send.
            if channel.capabilities.addressed:
                return await self.broadcast(
                    armed.delivery, armed.message, armed.member, cast("Broadcasts", channel)
                )
            publisher = cast("Publishes", channel)
            left = (armed.lease_until - self.clock.micros()) / SECOND
            NOT_AFTER.set(self.clock.monotonic() + left)
            async with asyncio.timeout(self.send_timeout):
                said = await publisher.send(
                    armed.message, armed.member.account, key=armed.delivery.id
                )
            return legible(said)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            # Not ours: something that the adapter waited for was cancelled under it.
            log.exception("adapter.cancelled", channel=channel.name)
            return Unconfirmed(detail="the adapter was cut off while it waited")
        except TimeoutError:
            return Unconfirmed(detail=f"no answer within {self.send_timeout:g} s")
        except Exception as error:
            log.exception("adapter.unforeseen", channel=channel.name)
            return Unconfirmed(detail=f"unforeseen {type(error).__name__} in the adapter")


def detail_of(outcome: Outcome) -> str:
    """The outcome's own words, for people."""
    for name in ("detail", "reason", "note"):
        value = getattr(outcome, name, "")
        if value:
            return str(value)[:2000]
    problem = getattr(outcome, "problem", None)
    return "" if problem is None else str(problem.detail)[:2000]
