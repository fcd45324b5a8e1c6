"""Segments as saved filters: a small tree of conditions, in JSON, evaluated when recipients are
frozen. Pure; `scheduler.store.segments` turns it into SQL.

    {"kind": "all", "of": [
        {"kind": "language", "is": "fr"},
        {"kind": "not", "of": {"kind": "tag", "is": "presse"}},
        {"kind": "attribute", "name": "ville", "test": "is", "value": "Nantes"},
        {"kind": "written", "not_for_months": 12}]}
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    TypeAdapter,
    model_validator,
)

MOST_CONDITIONS = 100
DEEPEST = 8
NUMBER = re.compile(r"-?(0|[1-9]\d{0,17})(\.\d{1,9})?", re.ASCII)
DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_MONTH = timedelta(days=365.25 / 12)


def _storable(text: str) -> str:
    if "\x00" in text:
        raise ValueError("holds a NUL character, which no database stores")
    return text


Word = Annotated[str, Field(min_length=1, max_length=100), AfterValidator(_storable)]
Id = Annotated[str, Field(min_length=1, max_length=36), AfterValidator(_storable)]
# Its length stands apart from its pattern: \w{1,64} alone takes 6 MB once compiled.
AttributeName = Annotated[str, Field(max_length=64, pattern=r"^\w+$")]


class _Node(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class All(_Node):
    """Every one of them holds."""

    kind: Literal["all"]
    of: Annotated[tuple[Filter, ...], Field(min_length=1, max_length=MOST_CONDITIONS)]


class Either(_Node):
    """At least one of them holds."""

    kind: Literal["any"]
    of: Annotated[tuple[Filter, ...], Field(min_length=1, max_length=MOST_CONDITIONS)]


class Not(_Node):
    """It does not hold."""

    kind: Literal["not"]
    of: Filter


class LanguageIs(_Node):
    """`fr` means `fr-CA` too; empty: no language is known."""

    kind: Literal["language"]
    language: Annotated[
        str, Field(alias="is", max_length=16, pattern=r"^([A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*)?$")
    ]


class HasTag(_Node):
    """The tag, letter for letter."""

    kind: Literal["tag"]
    tag: Annotated[Word, Field(alias="is")]


class OnList(_Node):
    """Subscribed to the list."""

    kind: Literal["list"]
    list_id: Annotated[Id, Field(alias="is")]


class AttributeTest(_Node):
    """What an attribute says. `more` and `less` compare numbers (`12.5`) or dates (`2026-12-31`),
    as `value` is one or the other; what is neither matches nothing. Texts compare without regard
    to the case of ASCII letters."""

    kind: Literal["attribute"]
    name: AttributeName
    test: Literal["is", "contains", "more", "less", "known"]
    value: Annotated[str, Field(max_length=1000), AfterValidator(_storable)] = ""

    @property
    def is_number(self) -> bool:
        return NUMBER.fullmatch(self.value) is not None

    @model_validator(mode="after")
    def _comparable(self) -> Self:
        if self.test == "known" and self.value:
            raise ValueError("the test known takes no value")
        if self.test in {"is", "contains"} and not self.value:
            raise ValueError(f"the test {self.test} needs a value; absent is: not known")
        if self.test in {"more", "less"} and not (self.is_number or DATE.fullmatch(self.value)):
            raise ValueError(f"the test {self.test} needs a number or a date as 2026-12-31")
        return self


class Happened(_Node):
    """When something last happened: `created` (we met), `subscribed` (to `list`, or any),
    `confirmed` (they said yes), `written` (a mailing reached them), `heard` (they wrote to us).

    `not_for_months` counts back from the moment of sending, and holds where it never happened.
    """

    kind: Literal["created", "subscribed", "confirmed", "written", "heard"]
    before: AwareDatetime | None = None
    after: Annotated[AwareDatetime | None, Field(description="At that moment or later.")] = None
    not_for_months: Annotated[int | None, Field(ge=1, le=240)] = None
    list_id: Annotated[Id | None, Field(alias="list")] = None

    @model_validator(mode="after")
    def _says_when(self) -> Self:
        if self.not_for_months is None and self.before is None and self.after is None:
            raise ValueError("say before, after or not_for_months")
        if self.not_for_months is not None and (self.before or self.after):
            raise ValueError("not_for_months stands alone: combine conditions with all")
        if self.list_id is not None and self.kind not in {"subscribed", "confirmed"}:
            raise ValueError(f"{self.kind} is not about a list")
        return self

    def since(self, now: datetime) -> datetime:
        """The moment that `not_for_months` means."""
        assert self.not_for_months is not None  # asked only where it is said
        return now - self.not_for_months * _MONTH


Filter = Annotated[
    All | Either | Not | LanguageIs | HasTag | OnList | AttributeTest | Happened,
    Field(discriminator="kind"),
]
All.model_rebuild()
Either.model_rebuild()
Not.model_rebuild()
_ADAPTER: TypeAdapter[Filter] = TypeAdapter(Filter)


def bounded(node: Filter) -> Filter:
    """The same filter. ValueError for one that a database would choke on."""
    depths = list(_depths(node, 1))
    if len(depths) > MOST_CONDITIONS:
        raise ValueError(f"{len(depths)} conditions; {MOST_CONDITIONS} at most")
    if max(depths) > DEEPEST:
        raise ValueError(f"nested {max(depths)} deep; {DEEPEST} at most")
    return node


BoundedFilter = Annotated[Filter, AfterValidator(bounded)]


def parse(stored: object) -> Filter:
    """A filter from its JSON. Error: pydantic.ValidationError."""
    return _ADAPTER.validate_python(stored)


def to_json(node: Filter) -> dict[str, object]:
    """The JSON that `parse` takes."""
    return node.model_dump(mode="json", by_alias=True, exclude_unset=True)


def lists_named(node: Filter) -> set[str]:
    """The ids of the lists that it speaks of."""
    if isinstance(node, All | Either):
        return set().union(*(lists_named(one) for one in node.of))
    if isinstance(node, Not):
        return lists_named(node.of)
    found = getattr(node, "list_id", None)
    return set() if found is None else {found}


def asleep(months: int) -> Filter:
    """Whom to ask again whether they want our mails: nobody we wrote to in `months`, and nobody
    who said yes in them."""
    return All(
        kind="all",
        of=(
            Happened(kind="written", not_for_months=months),
            Happened(kind="confirmed", not_for_months=months),
        ),
    )


def _depths(node: Filter, depth: int) -> Iterator[int]:
    yield depth
    if isinstance(node, All | Either):
        for one in node.of:
            yield from _depths(one, depth + 1)
    elif isinstance(node, Not):
        yield from _depths(node.of, depth + 1)
