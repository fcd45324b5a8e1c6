"""What leans on a delivery: a post that was not sent elsewhere because an account carried it
already. When that one goes away, nobody carries it any more."""

from __future__ import annotations

from collections.abc import Collection

from channels.posts import Part
from scheduler.changes import Change, columns, event
from scheduler.deliveries import Delivery, HoldReason, State
from scheduler.store import desk, digests, reroutes
from scheduler.store.completions import write_changes
from scheduler.store.db import Connection, Database
from scheduler.store.events import append
from scheduler.warning import NEXT, warn

# What carries its post no more, in a way that its owner need not have been asked about.
GIVES_UP = {State.REROUTED, State.FAILED}
_LEFT = {State.CANCELLED, *GIVES_UP}


async def hold(
    connection: Connection, database: Database, delivery: Delivery, cause: str, actor: str, now: int
) -> None:
    """It waits for a word, and its owner is told. It is not sent another way by itself: whoever
    took away what would have said it may have wanted to stop it all."""
    new = columns(delivery, State.HELD, now, cause=cause, hold_reason=HoldReason.APPROVAL)
    await write_changes(connection, [Change(delivery, delivery.token, new)], now)
    await append(connection, [event("delivery.held", delivery, now, actor, {"cause": cause})])
    await warn(
        connection, database, delivery, kind="delivery.held", cause=cause, action=NEXT, now=now
    )


async def leaners(
    connection: Connection, post_ids: Collection[str], account_id: str
) -> list[Delivery]:
    """Deliveries of these posts that leaned on `account_id`, which carries them no more."""
    found: list[Delivery] = []
    for post_id in sorted(post_ids):
        own = await reroutes.siblings_of(connection, post_id)
        if not any(one.state is State.REROUTED and one.account_id != account_id for one in own):
            continue
        told = await digests.carriers_of(connection, [post_id])
        carriers = own + [digest for _, digest in told]
        if any(one.account_id == account_id and one.state not in _LEFT for one in carriers):
            continue
        found += await reroutes.covered_by(connection, post_id, account_id)
    return found


async def bring_back(
    connection: Connection, parent: Delivery, account_id: str, actor: str, now: int
) -> None:
    """`parent` returns from `account_id` to where it was meant for: what leaned on it there waits
    for its own time again, and finds its own road then."""
    if parent.part is not Part.POST:
        return
    for one in await leaners(connection, [parent.post_id], account_id):
        await desk.reschedule(
            connection, one.id, due_at=max(now, one.due_at),
            deadline_at=one.deadline_at if (one.deadline_at or 0) > now else None,
            now=now, fresh=True,
        )  # fmt: skip
        await append(connection, [event("delivery.undone", one, now, actor)])
