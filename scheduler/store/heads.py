"""The first deliveries of several states: the first of each, by its index, and of those the first.

No index has all states in due order; asked for in one condition, all that match would be read and
sorted for a page of them.
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import ColumnElement, Select, select, tuple_, union_all

from scheduler.store.tables import deliveries

Place = tuple[int, str]  # due time and id of the delivery that the page before ended with


def first_of(
    states: Iterable[list[ColumnElement[bool]]], *, after: Place | None, limit: int
) -> Select[tuple[str]]:
    """Ids, in no order, among which are the first `limit` by due time, then id. `states`: for each
    the conditions that its index answers."""
    heads = [select(_first(conditions, after, limit).subquery()) for conditions in states]
    return select(union_all(*heads).subquery())


def _first(
    conditions: list[ColumnElement[bool]], after: Place | None, limit: int
) -> Select[tuple[str]]:
    statement = select(deliveries.c.id).where(*conditions)
    if after is not None:
        statement = statement.where(tuple_(deliveries.c.due_at, deliveries.c.id) > after)
    return statement.order_by(deliveries.c.due_at, deliveries.c.id).limit(limit)
