"""The SQL that says whom a filter means at this moment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Float,
    Numeric,
    String,
    and_,
    case,
    cast,
    exists,
    false,
    func,
    literal,
    not_,
    or_,
    select,
)

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
)
from scheduler.clock import micros, moment
from scheduler.store.audience import TO_BE_WRITTEN_TO, Standing
from scheduler.store.audience_tables import consents, contacts, memberships
from scheduler.store.db import Database


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
                return member(memberships.c.list_id == node.list_id)
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
            return member(*own, *(bound(memberships.c.since) for bound in bounds))
        if node.kind == "confirmed":
            at: ColumnElement[Any] = _last_yes(node.list_id)
        else:
            names = {"created": "created_at", "written": "contacted_at", "heard": "heard_at"}
            at = contacts.c[names[node.kind]]
        return func.coalesce(and_(*(bound(at) for bound in bounds)), false())


def member(*conditions: ColumnElement[bool]) -> ColumnElement[bool]:
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
