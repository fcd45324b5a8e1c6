"""A delivery: one post to one account, the only thing that has a state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from channels.posts import Part


class State(StrEnum):
    """Where a delivery is.

    `ARMED` covers the send itself: intent is durable when the row is armed, and no commit stands
    between the due time and the request. `SENDING` is the long run of a broadcast.
    """

    SCHEDULED = "scheduled"
    ARMED = "armed"
    SENDING = "sending"
    ACCEPTED = "accepted"
    UNCONFIRMED = "unconfirmed"
    HELD = "held"
    DELIVERED = "delivered"
    REROUTED = "rerouted"
    FAILED = "failed"
    CANCELLED = "cancelled"


FINAL = frozenset({State.DELIVERED, State.REROUTED, State.FAILED, State.CANCELLED})

_SETTLED = {State.DELIVERED, State.ACCEPTED, State.UNCONFIRMED, State.HELD}
_CLOSED = {State.REROUTED, State.FAILED}

# An answer may come when its delivery is back already: what is published is not sent again.
_BELATED = {State.DELIVERED, State.ACCEPTED, State.UNCONFIRMED}

# A person may bring a failed delivery back; an undone reroute, or a digest that cannot go out
# either, reopens its parents; and a post may be cancelled while its digest waits. Nothing else
# leaves a final state.
TRANSITIONS: Mapping[State, frozenset[State]] = MappingProxyType(
    {
        State.SCHEDULED: frozenset({State.ARMED, State.HELD, State.CANCELLED, *_CLOSED, *_BELATED}),
        State.ARMED: frozenset(
            {State.SCHEDULED, State.SENDING, State.CANCELLED, *_SETTLED, *_CLOSED}
        ),
        State.SENDING: frozenset({State.SCHEDULED, *_SETTLED, *_CLOSED}),
        State.ACCEPTED: frozenset(
            {State.DELIVERED, State.SCHEDULED, State.UNCONFIRMED, State.HELD, *_CLOSED}
        ),
        State.UNCONFIRMED: frozenset(
            {State.DELIVERED, State.ACCEPTED, State.SCHEDULED, State.HELD}
        ),
        State.HELD: frozenset({State.SCHEDULED, State.CANCELLED, *_CLOSED, *_BELATED}),
        State.REROUTED: frozenset({State.SCHEDULED, State.HELD, State.CANCELLED}),
        State.FAILED: frozenset({State.SCHEDULED, State.REROUTED}),
        State.DELIVERED: frozenset(),
        State.CANCELLED: frozenset(),
    }
)


class HoldReason(StrEnum):
    """Why a delivery waits for a person (or for its deadline).

    `SUSPECTED`: its page seems gone; a second probe decides between plan B and going on.
    """

    ACCESS_LOST = "access-lost"
    SUSPECTED = "suspected"
    UNCONFIRMED = "unconfirmed"
    LATE = "late"
    NO_ROAD = "no-road"
    APPROVAL = "approval"
    BY_HAND = "by-hand"


class LatePolicy(StrEnum):
    """What to do with a post that could not go out on time: late is a choice."""

    PUBLISH = "publish"
    ASK = "ask"
    DROP = "drop"


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A row of `deliveries`; times are microseconds since 1970 (UTC).

    `attempt` numbers every arming and, with `token`, fences every later write: who lost the
    lease writes evidence, not state. `tries` counts the attempts charged against the retry
    budget (a throttle, a pause or a rescue costs none). `origin_id` is the delivery that the
    author asked for, `parent_id` the one this was rerouted from. `trace` is the W3C traceparent of
    the request that made it, when requests are traced.
    """

    id: str
    post_id: str
    account_id: str
    part: Part = Part.POST
    state: State = State.SCHEDULED
    due_at: int
    planned_at: int
    deadline_at: int | None = None
    token: str | None = None
    worker: str | None = None
    lease_until: int | None = None
    attempt: int = 0
    tries: int = 0
    first_sent_at: int | None = None
    look_at: int | None = None
    looks: int = 0
    hold_reason: HoldReason | None = None
    cause: str = ""
    parent_id: str | None = None
    origin_id: str | None = None
    remote_id: str | None = None
    url: str | None = None
    trace: str | None = None

    @property
    def final(self) -> bool:
        return self.state in FINAL
