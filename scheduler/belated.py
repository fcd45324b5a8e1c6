"""Answers that come when their delivery is not the worker's any more: a lease that ended, a clock
that was put back, a change that came too late to stop the request.

What such a worker saw takes nothing back of what others found; but what is published is not sent
again, what may be is looked for first, and a person hears of what nobody meant.
"""

from __future__ import annotations

from functools import partial

from scheduler.attempt import Attempted
from scheduler.changes import Change, Columns, columns, event
from scheduler.decide import Done, Look, Wait
from scheduler.deliveries import Delivery, HoldReason, State
from scheduler.store import desk, reroutes
from scheduler.store.alerts import resolve
from scheduler.store.completions import write_changes
from scheduler.store.db import Connection, Database
from scheduler.store.events import append
from scheduler.store.savepoints import first_taken
from scheduler.warning import SETTLE, warn

_OPEN = frozenset({State.SCHEDULED, State.ARMED, State.UNCONFIRMED, State.HELD})
_CAUSE = "its answer came when it was its worker's no more"


def matters(attempted: Attempted) -> bool:
    """Whether it says that something is published, or may be. Broadcasts know their recipients one
    by one."""
    addressed = attempted.armed.member.channel.capabilities.addressed
    return not addressed and isinstance(attempted.decision, Done | Wait | Look)


async def settle(database: Database, attempted: Attempted, *, now: int, actor: str) -> None:
    """Write down what can be, and tell what a person has to know."""
    async with database.write() as connection:
        current = await desk.locked(connection, attempted.armed.delivery.id)
        if current is None or _known(current, attempted):
            return
        post = await reroutes.post_row(connection, current.post_id)
        reworded = post["version"] != attempted.armed.version
        new = _columns(current, attempted, now, reworded=reworded)
        if new is not None:
            change = Change(current, current.token, new)
            await write_changes(connection, [change], now)
            kind = f"delivery.{new['state']}"
            data = {"cause": new["cause"], "url": new["url"]}
            await append(connection, [event(kind, current, now, actor, data)])
            await resolve(connection, f"delivery:{current.id}:{State.UNCONFIRMED.value}", now)
            await resolve(connection, f"delivery:{current.id}:{State.HELD.value}", now)
        if current.state is not State.UNCONFIRMED:
            await _tell(connection, database, current, attempted, now)


async def settle_least(database: Database, attempted: Attempted, *, now: int, actor: str) -> None:
    """The same where the database refuses what `settle` writes: it waits for a person, and is not
    sent again."""
    async with database.write() as connection:
        current = await desk.locked(connection, attempted.armed.delivery.id)
        if current is None or _known(current, attempted):
            return
        if current.state in _OPEN:
            new = columns(
                current, State.HELD, now, hold_reason=HoldReason.UNCONFIRMED, cause=_CAUSE,
                first_sent_at=current.first_sent_at or attempted.started_at,
            )  # fmt: skip
            change = Change(current, current.token, new)
            await first_taken(connection, partial(write_changes, connection, [change], now))
            told = event("delivery.held", current, now, actor, {"cause": _CAUSE})
            await first_taken(connection, partial(append, connection, [told]))
            await warn(
                connection, database, current, kind="delivery.unconfirmed", cause=_CAUSE,
                action=SETTLE, now=now,
            )  # fmt: skip
        await _tell(connection, database, current, attempted, now)


def _known(current: Delivery, attempted: Attempted) -> bool:
    """Whether it says nothing new: the commit that it seems to have missed did happen, or somebody
    else found the same."""
    decision = attempted.decision
    if isinstance(decision, Done | Wait):
        return current.state in {State.DELIVERED, State.ACCEPTED} and (
            current.remote_id == decision.remote_id
        )
    doubted = current.hold_reason is HoldReason.UNCONFIRMED
    return doubted or current.state in {State.UNCONFIRMED, State.DELIVERED, State.ACCEPTED}


def _columns(
    current: Delivery, attempted: Attempted, now: int, *, reworded: bool
) -> Columns | None:
    """What it changes; None where others have decided for good. `reworded`: it left in words that
    are the post's no more, by which it cannot be found."""
    if current.state not in _OPEN:
        return None
    sent = current.first_sent_at or attempted.started_at
    match attempted.decision:
        case Done(remote_id, url):
            return columns(
                current, State.DELIVERED, now, tries=current.tries + 1, first_sent_at=sent,
                cause=_CAUSE, remote_id=remote_id, url=url,
            )  # fmt: skip
        case Wait(remote_id, url, look_at):
            return columns(
                current, State.ACCEPTED, now, tries=current.tries + 1, first_sent_at=sent,
                look_at=look_at, cause=_CAUSE, remote_id=remote_id, url=url,
            )  # fmt: skip
        case Look(cause=cause) if reworded:
            return columns(
                current, State.HELD, now, first_sent_at=sent, hold_reason=HoldReason.UNCONFIRMED,
                cause=f"may have been published in its old words: {cause}",
            )  # fmt: skip
        case Look(at, cause):
            return columns(
                current, State.UNCONFIRMED, now, first_sent_at=sent, look_at=at, cause=cause
            )
        case _:  # nothing certain was written
            return None


async def _tell(
    connection: Connection, database: Database, current: Delivery, attempted: Attempted, now: int
) -> None:
    decision = attempted.decision
    url = decision.url if isinstance(decision, Done | Wait) else None
    sure = "was published" if isinstance(decision, Done | Wait) else "may have been published"
    await warn(
        connection,
        database,
        current,
        kind="delivery.belated",
        cause=f"it {sure} before a change was seen; it was {current.state} by then",
        action="look at the page, and take it down or correct it there if it is not meant",
        now=now,
        url=url,
    )
