"""A sitting: one transaction in which somebody decides about deliveries, and what may be decided.

It holds the rows that it is about. What may already be on its way cannot be called back, and is
looked for again right before the commit.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from scheduler.clock import Clock
from scheduler.deliveries import Delivery, HoldReason, State
from scheduler.refusals import RefusedError, conflict, not_found
from scheduler.store import desk
from scheduler.store.db import Connection, Database

# A commit takes a moment: what is due within it may leave before it is seen.
COMMIT_TIME = 250_000  # microseconds

_DOUBTFUL = frozenset({State.UNCONFIRMED, State.ACCEPTED})


def may_be_leaving(delivery: Delivery, now: int) -> bool:
    """Whether a request may be under way at `now` (microseconds)."""
    return delivery.state is State.SENDING or (
        delivery.state is State.ARMED and delivery.due_at <= now + COMMIT_TIME
    )


def in_doubt(delivery: Delivery) -> bool:
    """Whether it may have been published without our knowing."""
    return delivery.state in _DOUBTFUL or delivery.hold_reason is HoldReason.UNCONFIRMED


@dataclass(frozen=True, slots=True)
class Sitting:
    """A transaction in which deliveries are decided upon. `now`: when it began (microseconds);
    `taken`: what it takes from the workers, as it was."""

    connection: Connection
    now: int
    taken: list[Delivery]


@asynccontextmanager
async def sitting(database: Database, clock: Clock) -> AsyncIterator[Sitting]:
    """Decide, and look at the clock again right before the commit. Error: RefusedError when that
    took so long that something may be leaving by now; nothing is changed then."""
    async with database.write() as connection:
        held = Sitting(connection, clock.micros(), [])
        yield held
        refuse_if_leaving(held.taken, clock.micros())


async def post_at(
    connection: Connection, post_id: str, version: int | None = None
) -> Mapping[Any, Any]:
    """The post, locked: nobody else changes it or what is decided about it meanwhile. `version`:
    what its author had read. Error: RefusedError when there is none, or it was changed since."""
    row = await desk.locked_post(connection, post_id)
    if row is None:
        raise not_found("post", post_id)
    if version is not None and version != row["version"]:
        raise conflict(
            f"the post is at version {row['version']}, not {version}",
            "read it again and redo the change",
            "version",
        )
    return row


def refuse_if_leaving(taken: Iterable[Delivery], now: int) -> None:
    """Deliveries as they were before this transaction took them from their workers. Asked again
    right before the commit: until then a worker still sees its own token, and would send. A
    broadcast that has begun is out. Error: RefusedError, nothing changed."""
    if any(one.state is State.ARMED and may_be_leaving(one, now) for one in taken):
        raise leaving()


def leaving() -> RefusedError:
    return conflict(
        "it is being sent at this moment and cannot be called back",
        "read it again in a few seconds to see what became of it; a mailing stops when its account"
        " is paused, and can be cancelled then",
    )


def nothing_left(every: list[Delivery], now: int) -> RefusedError:
    """Why none of a post's deliveries can be decided upon."""
    if any(may_be_leaving(one, now) for one in every):
        return leaving()
    states = ", ".join(sorted({one.state.value for one in every}))
    return conflict(f"nothing of this post waits any more: {states}", "read its deliveries")


def settle_first(delivery: Delivery) -> RefusedError:
    return conflict(
        f"it may have been published already ({delivery.state})",
        f"look at the page, then settle it: POST /api/v1/deliveries/{delivery.id}/settle",
    )
