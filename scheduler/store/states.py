"""Conditions on a delivery's state, written out as in the partial indexes.

A database uses a partial index only for a query that it sees to imply the index's condition, and
a parameter hides that: with `state = ?` SQLite reads the whole table.
"""

from __future__ import annotations

from sqlalchemy import ColumnElement, literal_column, or_

from scheduler.deliveries import State
from scheduler.store.db import unindexed
from scheduler.store.tables import deliveries


def _words(*states: State) -> list[ColumnElement[str]]:
    return [literal_column(f"'{state.value}'") for state in states]


SCHEDULED = deliveries.c.state == literal_column(f"'{State.SCHEDULED.value}'")
CLAIMED = deliveries.c.state.in_(_words(State.ARMED, State.SENDING))
WAITING = deliveries.c.state.in_(_words(State.ACCEPTED, State.UNCONFIRMED, State.HELD))
LEFT = deliveries.c.state.not_in(_words(State.SCHEDULED, State.ARMED, State.SENDING))
ENDED = or_(
    *(deliveries.c.state == word for word in _words(State.CANCELLED, State.FAILED, State.REROUTED))
)


def ended_since(moment: int, *states: State) -> list[ColumnElement[bool]]:
    """Conditions for what ended so at or after then (microseconds since 1970). What else is asked
    of it has to be `unindexed`, or another index is used, which has all of history."""
    return [ENDED, deliveries.c.updated_at >= moment, unindexed(deliveries.c.state).in_(states)]


def indexed(state: State) -> list[ColumnElement[bool]]:
    """Conditions for this state that the index for it is used for."""
    match state:
        case State.SCHEDULED:
            return [SCHEDULED]
        case State.ARMED | State.SENDING:
            return [CLAIMED, deliveries.c.state == state]
        case _:
            return [LEFT, deliveries.c.state == state]
