"""What the database refuses, again and again, though it is there and takes all else: the least of
it is written, and a person is told. Nothing of it is tried for ever, in memory only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Coroutine
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

from scheduler import recording
from scheduler.attempt import Attempted
from scheduler.changes import Change, columns, event
from scheduler.deliveries import Delivery, HoldReason, State
from scheduler.signs import write_signs
from scheduler.store.completions import write_attempts, write_changes
from scheduler.store.db import Connection, Database
from scheduler.store.events import STALE, Event, append
from scheduler.store.faults import passing
from scheduler.store.savepoints import first_taken
from scheduler.warning import NEXT, SETTLE, warn

# So often it is tried alone first.
TRIES = 5

HELD = "delivery.held"
UNSURE = "may have been published, and what looking found could not be stored"
UNMOVED = "it cannot go out here, and the database does not take its other road"


class Least(NamedTuple):
    """`known`: what is to become of it is written down; `stale`: its lease was lost meanwhile."""

    known: bool
    stale: bool


@dataclass(slots=True)
class Patience:
    """Counts how often each thing was refused."""

    _refused: Counter[str] = field(default_factory=Counter)

    def ends(self, what: str, error: Exception) -> bool:
        """Whether this refusal is one too many. What passes by itself is none."""
        if passing(error):
            return False
        self._refused[what] += 1
        return self._refused[what] >= TRIES

    def forget(self, what: str) -> None:
        self._refused.pop(what, None)


async def write_least(database: Database, attempted: Attempted, *, worker: str, now: int) -> Least:
    """As much of an outcome as the database takes, each part alone. What may be published and
    cannot be said to be waits for a person, and is not sent again. Errors: the driver's own, while
    the database takes nothing at all."""
    full = recording.ended(attempted, worker, now)
    plain = recording.plain(attempted, worker, now)
    actor = f"worker:{worker}"
    async with database.write() as connection:
        if attempted.sign is not None:
            signs = {attempted.armed.member.id: attempted.sign}
            await first_taken(
                connection,
                partial(write_signs, connection, database, signs, now=now, actor=actor),
            )
        applied = held = None
        if full.change is not None and plain.change is not None:
            applied = await first_taken(connection, _changing(connection, full.change, now))
            if applied is None:
                held = await first_taken(connection, _changing(connection, plain.change, now))
        stale = full.change is not None and set() in (applied, held)
        refused = full.change is not None and applied is None and not stale
        rows = [{**one.attempt, "stale": stale} for one in (full, plain)]
        await first_taken(connection, *(partial(write_attempts, connection, [row]) for row in rows))
        kind = STALE if stale else HELD if refused else full.event["kind"]
        told = (plain,) if refused else (full, plain)
        lines: list[Event] = [{**one.event, "kind": kind} for one in told]
        await first_taken(connection, *(partial(append, connection, [line]) for line in lines))
        if refused:
            out = recording.may_be_out(attempted)
            cause = recording.DOUBT if out else recording.UNSENT
            await _tell(
                connection, database, attempted.armed.delivery, cause, in_doubt=out, now=now
            )
    return Least(known=not refused or held is not None, stale=stale)


async def hold_undecided(
    database: Database, delivery: Delivery, *, in_doubt: bool, actor: str, now: int
) -> None:
    """The database refuses its other road, or what a look found (`in_doubt`), whatever that is."""
    cause, reason = (UNSURE, HoldReason.UNCONFIRMED) if in_doubt else (UNMOVED, HoldReason.APPROVAL)
    new = columns(delivery, State.HELD, now, cause=cause, hold_reason=reason)
    async with database.write() as connection:
        change = Change(delivery, delivery.token, new)
        applied = await first_taken(connection, _changing(connection, change, now))
        if applied == set():
            return  # somebody else decided
        told = event(HELD, delivery, now, actor, {"cause": cause})
        await first_taken(connection, partial(append, connection, [told]))
        await _tell(connection, database, delivery, cause, in_doubt=in_doubt, now=now)


def _changing(
    connection: Connection, change: Change, now: int
) -> partial[Coroutine[Any, Any, set[str]]]:
    return partial(write_changes, connection, [change], now)


async def _tell(
    connection: Connection,
    database: Database,
    delivery: Delivery,
    cause: str,
    *,
    in_doubt: bool,
    now: int,
) -> None:
    """The one part that has to be taken."""
    kind, action = ("delivery.unconfirmed", SETTLE) if in_doubt else (HELD, NEXT)
    await warn(connection, database, delivery, kind=kind, cause=cause, action=action, now=now)
