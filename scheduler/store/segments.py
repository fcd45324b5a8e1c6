"""Segments: saved filters, and the SQL that says whom one means at this moment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import uuid_utils
from sqlalchemy import (
    ColumnElement,
    Float,
    Numeric,
    RowMapping,
    String,
    and_,
    case,
    cast,
    delete,
    exists,
    false,
    func,
    insert,
    literal,
    not_,
    or_,
    select,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from scheduler.audience.filters import (
    All,
    AttributeTest,
    Either,
    Filter,
    Happened,
    HasTag,
    LanguageIs,
    Not,
    OnList,
    parse,
)
from scheduler.clock import micros, moment
from scheduler.store.audience import TO_BE_WRITTEN_TO, Standing
from scheduler.store.audience_tables import consents, contacts, memberships, segments
from scheduler.store.db import Database
from scheduler.store.tables import deliveries, posts

_FINAL = ("delivered", "rerouted", "failed", "cancelled")


class Matcher:
    """Conditions on `contacts` for filters, as of `now` (microseconds)."""

    def __init__(self, database: Database, now: int) -> None:
        self._postgresql, self._now = database.is_postgresql, now

    def of(self, node: Filter) -> ColumnElement[bool]:  # noqa: PLR0911 -- one for each kind
        """Never NULL: `not` means the others."""
        match node:
            case All():
                return and_(*(self.of(one) for one in node.of))
            case Either():
                return or_(*(self.of(one) for one in node.of))
            case Not():
                return not_(self.of(node.of))
            case LanguageIs():
                own = func.lower(contacts.c.language)
                wanted = node.language.lower()
                return or_(own == wanted, own.startswith(f"{wanted}-")) if wanted else own == ""
            case HasTag():
                return self._tagged(node.tag)
            case OnList():
                return _member(memberships.c.list_id == node.list_id)
            case AttributeTest():
                return self._attribute(node)
            case Happened():
                return self._happened(node)

    def _tagged(self, tag: str) -> ColumnElement[bool]:
        each = func.json_array_elements_text if self._postgresql else func.json_each
        one = each(contacts.c.tags).table_valued("value").alias("one_tag")
        return exists(select(literal(1)).select_from(one).where(one.c.value == tag))

    def _attribute(self, node: AttributeTest) -> ColumnElement[bool]:
        said = self._said(node.name)
        match node.test:
            case "known":
                return said != ""
            case "is":
                return func.lower(said) == func.lower(literal(node.value))
            case "contains":
                place = func.strpos if self._postgresql else func.instr
                return place(func.lower(said), func.lower(literal(node.value))) > 0
            case "more" | "less" as test if node.is_number:
                number = self._number(said)
                wanted = cast(literal(node.value), Numeric if self._postgresql else Float)
                found = number > wanted if test == "more" else number < wanted
            case _:
                day = self._day(said)
                found = day > node.value if node.test == "more" else day < node.value
        return func.coalesce(found, false())

    def _said(self, name: str) -> ColumnElement[str]:
        if self._postgresql:
            value: Any = contacts.c.attributes.op("->>")(name)
        else:
            # Not json_extract: its paths miss a key that is stored with an escape (`n\u00e9_le`).
            each = func.json_each(contacts.c.attributes).table_valued("key", "value")
            one = each.alias("one_attribute")
            value = select(one.c.value).where(one.c.key == name).scalar_subquery()
        return func.coalesce(value, "", type_=String())

    def _number(self, said: ColumnElement[str]) -> ColumnElement[Any]:
        """NULL for what is no number; the databases evaluate a CASE in order."""
        if self._postgresql:
            return case((said.op("~")(r"^-?(0|[1-9]\d{0,17})(\.\d{1,9})?$"), cast(said, Numeric)))
        plain = and_(said.op("NOT GLOB")("*[^0-9.-]*"), func.json_valid(said) == 1)
        return case((plain, cast(said, Float)))

    def _day(self, said: ColumnElement[str]) -> ColumnElement[Any]:
        """The day that a text begins with, as a text that sorts; NULL if it begins with none."""
        day = func.substr(said, 1, 10)
        if self._postgresql:
            return case((said.op("~")(r"^\d{4}-\d\d-\d\d"), day.collate("C")))
        digit = "[0-9]"
        shape = f"{digit * 4}-{digit * 2}-{digit * 2}"
        return case((day.op("GLOB")(shape), day))

    def _happened(self, node: Happened) -> ColumnElement[bool]:
        if node.not_for_months is not None:
            since = micros(node.since(moment(self._now)))
            return not_(self._ever(node, [lambda at: at >= since]))
        bounds: list[Any] = []
        if node.before is not None:
            before = micros(node.before)
            bounds.append(lambda at: at < before)
        if node.after is not None:
            after = micros(node.after)
            bounds.append(lambda at: at >= after)
        return self._ever(node, bounds)

    def _ever(self, node: Happened, bounds: Sequence[Any]) -> ColumnElement[bool]:
        """Whether the last time it happened lies within the bounds."""
        if node.kind == "subscribed":
            own = [] if node.list_id is None else [memberships.c.list_id == node.list_id]
            return _member(*own, *(bound(memberships.c.since) for bound in bounds))
        if node.kind == "confirmed":
            at: ColumnElement[Any] = _last_yes(node.list_id)
        else:
            names = {"created": "created_at", "written": "contacted_at", "heard": "heard_at"}
            at = contacts.c[names[node.kind]]
        return func.coalesce(and_(*(bound(at) for bound in bounds)), false())


def _member(*conditions: ColumnElement[bool]) -> ColumnElement[bool]:
    return exists(
        select(memberships.c.contact_id).where(
            memberships.c.contact_id == contacts.c.id,
            memberships.c.state == Standing.SUBSCRIBED,
            *conditions,
        )
    )


def _last_yes(list_id: str | None) -> ColumnElement[Any]:
    own = [] if list_id is None else [consents.c.list_id == list_id]
    return (
        select(func.max(consents.c.confirmed_at))
        .where(
            consents.c.contact_id == contacts.c.id,
            consents.c.action.in_(TO_BE_WRITTEN_TO),
            *own,
        )
        .scalar_subquery()
    )


async def get(connection: AsyncConnection, segment_id: str) -> RowMapping | None:
    statement = select(segments).where(segments.c.id == segment_id)
    return (await connection.execute(statement)).mappings().one_or_none()


async def listed(connection: AsyncConnection) -> Sequence[RowMapping]:
    """All segments, oldest first."""
    statement = select(segments).order_by(segments.c.created_at, segments.c.id)
    return (await connection.execute(statement)).mappings().all()


async def unknown(connection: AsyncConnection, ids: Sequence[str]) -> set[str]:
    """Which of these ids name no segment."""
    statement = select(segments.c.id).where(segments.c.id.in_(ids))
    return set(ids) - {row[0] for row in await connection.execute(statement)}


async def create(connection: AsyncConnection, values: Mapping[str, Any], *, now: int) -> str:
    """A new segment's id. `values`: `name`, `filter` (JSON)."""
    segment_id = str(uuid_utils.uuid7())
    row = {"id": segment_id, "created_at": now, "updated_at": now, **values}
    await connection.execute(insert(segments).values(row))
    return segment_id


async def change(
    connection: AsyncConnection, segment_id: str, values: Mapping[str, Any], *, now: int
) -> None:
    if values:
        statement = update(segments).where(segments.c.id == segment_id)
        await connection.execute(statement.values(**values, updated_at=now))


async def remove(connection: AsyncConnection, segment_id: str) -> None:
    await connection.execute(delete(segments).where(segments.c.id == segment_id))


async def used_by(
    database: Database, connection: AsyncConnection, segment_id: str, *, limit: int
) -> list[str]:
    """Titles (or ids) of posts for this segment that have not gone everywhere yet."""
    waiting = exists(
        select(deliveries.c.id).where(
            deliveries.c.post_id == posts.c.id, deliveries.c.state.not_in(_FINAL)
        )
    )
    statement = (
        select(posts.c.title, posts.c.id)
        .where(waiting, _to(database) == segment_id)
        .order_by(posts.c.due_at)
        .limit(limit)
    )
    return [row[0] or row[1] for row in await connection.execute(statement)]


def _to(database: Database) -> ColumnElement[Any]:
    """The segment that a post names."""
    if database.is_postgresql:
        return posts.c.content.op("->>")("to")
    return func.json_extract(posts.c.content, "$.to")


class LostSegmentError(LookupError):
    """A post is for a segment that is not there (any more): nobody knows who may get it."""


async def filter_of(
    database: Database, connection: AsyncConnection, delivery_id: str
) -> dict[str, Any] | None:
    """Whom of a list a delivery's post is for, None for everybody. Error: LostSegmentError."""
    statement = (
        select(_to(database))
        .select_from(deliveries)
        .join(posts, posts.c.id == deliveries.c.post_id)
        .where(deliveries.c.id == delivery_id)
    )
    segment_id = (await connection.execute(statement)).scalar_one_or_none()
    if segment_id is None:
        return None
    row = await get(connection, segment_id)
    if row is None:
        raise LostSegmentError(segment_id)
    found: dict[str, Any] = row["filter"]
    return found


def condition(database: Database, node: dict[str, Any], *, now: int) -> ColumnElement[bool]:
    """A stored filter as a condition on `contacts`, as of `now` (microseconds)."""
    return Matcher(database, now).of(parse(node))


async def count(
    database: Database, connection: AsyncConnection, node: Filter, *, list_id: str | None, now: int
) -> int:
    """How many contacts it means now; with a list, of its subscribers."""
    statement = (
        select(func.count()).select_from(contacts).where(*_reached(database, node, list_id, now))
    )
    found: int = (await connection.execute(statement)).scalar_one()
    return found


async def members(
    database: Database,
    connection: AsyncConnection,
    node: Filter,
    *,
    list_id: str | None,
    after: str | None,
    limit: int,
    now: int,
) -> Sequence[RowMapping]:
    """Whom it means, in the order of their arrival; `after` an id."""
    statement = select(contacts).where(*_reached(database, node, list_id, now))
    if after is not None:
        statement = statement.where(contacts.c.id > after)
    statement = statement.order_by(contacts.c.id).limit(limit)
    return (await connection.execute(statement)).mappings().all()


def _reached(
    database: Database, node: Filter, list_id: str | None, now: int
) -> list[ColumnElement[bool]]:
    conditions = [Matcher(database, now).of(node)]
    if list_id is not None:
        conditions.append(_member(memberships.c.list_id == list_id))
    return conditions
