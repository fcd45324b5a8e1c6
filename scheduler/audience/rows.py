"""Reads somebody's CSV as a stream of people, with a reason for each row that is none."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from itertools import islice
from pathlib import Path

from scheduler.audience.address import AddressError, usable_address
from scheduler.audience.headings import Columns, Meaning, columns_of, plain
from scheduler.audience.lines import LONGEST, Broken, Lines, records
from scheduler.audience.names import one_line
from scheduler.audience.shape import Shape
from scheduler.clock import micros

_LANGUAGES = {
    "francais": "fr", "french": "fr", "english": "en", "anglais": "en", "deutsch": "de",
    "german": "de", "allemand": "de", "espanol": "es", "spanish": "es", "espagnol": "es",
    "italiano": "it", "italian": "it", "italien": "it", "nederlands": "nl", "dutch": "nl",
}  # fmt: skip
_TAG = re.compile(r"[A-Za-z]{2,3}(?:[-_][A-Za-z0-9]{2,8})*")
# What a column of standing says of whoever must not be written to.
_LEFT = frozenset({
    "unsubscribed", "unsubscribe", "optout", "optedout", "cleaned", "bounced", "bounce",
    "hardbounce", "complained", "complaint", "spam", "blacklisted", "blocked", "suppressed",
    "deleted", "pending", "unconfirmed", "desinscrit", "desinscrite", "desabonne", "desabonnee",
    "bloque", "bloquee", "enattente", "nonconfirme", "nonconfirmee",
})  # fmt: skip
_GUARDED = ("'=", "'+", "'-")  # as our own export keeps a spreadsheet from computing it
DAY = 24 * 3600 * 1_000_000  # microseconds: by another zone's clock it is tomorrow already
_DAY_FIRST = ("%d/%m/%Y", "%d/%m/%Y %H:%M", "%d/%m/%Y %H:%M:%S", "%d.%m.%Y")


@dataclass(frozen=True, slots=True)
class Person:
    """A good row. `consent_at`: microseconds since 1970, None when the file does not say."""

    line: int
    email: str
    name: str
    language: str
    attributes: dict[str, str]
    tags: list[str]
    consent_at: int | None
    consent_source: str


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that cannot be taken, and why. `line` is the file's, from 1."""

    line: int
    reason: str
    fields: list[str]


def read_rows(
    path: Path, shape: Shape, chosen: Mapping[str, str], *, now: int, skip: int = 0
) -> Iterator[tuple[int, Person | BadRow]]:
    """Rows after the headings, with how many were read so far; `skip` leaves out the first ones.
    `now` (microseconds): nobody has agreed later. Errors: OSError, MappingError."""
    columns = columns_of(shape.headings, chosen)
    read = _Reader(columns, latest=now + DAY).read
    with path.open(encoding=shape.encoding, errors="replace", newline="") as file:
        lines = Lines(file)
        for _ in zip(range(shape.before), lines, strict=False):
            pass
        found = enumerate(records(lines, shape.delimiter, columns.count), 1)
        for number, (line, fields) in islice(found, skip, None):
            if isinstance(fields, Broken):
                yield number, BadRow(line, fields.reason, fields.fields)
            else:
                yield number, read(line, fields)


class ConsentError(ValueError):
    """When somebody agreed cannot be told, or cannot be."""


class _Reader:
    """Turns the fields of a row into a person."""

    def __init__(self, columns: Columns, *, latest: int) -> None:
        at = columns.by_meaning
        self._latest = latest
        self._count = columns.count
        self._email = at[Meaning.EMAIL]
        self._names = [
            at[one] for one in (Meaning.NAME, Meaning.FIRST_NAME, Meaning.LAST_NAME) if one in at
        ]
        self._language = at.get(Meaning.LANGUAGE)
        self._tags = at.get(Meaning.TAGS)
        self._consent_at = at.get(Meaning.CONSENT_AT)
        self._consent_source = at.get(Meaning.CONSENT_SOURCE)
        self._attributes = list(columns.attributes.items())
        self._standing, self._joined, self._packed = (
            columns.standing, columns.joined, columns.packed,
        )  # fmt: skip

    def read(self, line: int, fields: list[str]) -> Person | BadRow:
        missing = self._count - len(fields)
        if missing > 0:
            fields = fields + [""] * missing
        elif missing < 0 and any(fields[self._count :]):
            return BadRow(line, f"more fields than headings, by {-missing}; quote what holds"
                          " the delimiter", fields)  # fmt: skip
        whole = "".join(fields)
        if "\x00" in whole or len(whole) > LONGEST:
            return BadRow(line, "a NUL character, or far too long for a contact", fields[:1])
        if self._left(fields):
            return BadRow(line, "by this file they left, or never agreed", fields)
        try:
            return self._person(line, fields)
        except (AddressError, ConsentError) as error:
            return BadRow(line, str(error), fields)

    def _left(self, fields: list[str]) -> bool:
        """Whether the file itself says that nobody may write to them."""
        if self._joined is not None and not fields[self._joined].strip():
            return True
        return any(plain(fields[at]) in _LEFT for at in self._standing)

    def _person(self, line: int, fields: list[str]) -> Person:
        email = fields[self._email].strip()
        if email.startswith(_GUARDED):
            email = email[1:]
        attributes = {name: value for at, name in self._attributes if (value := fields[at].strip())}
        if self._packed is not None:
            attributes = _unpacked(fields[self._packed]) | attributes
        return Person(
            line,
            usable_address(email),
            one_line(" ".join([fields[at].strip() for at in self._names if fields[at]])),
            "" if self._language is None else language_of(fields[self._language]),
            attributes,
            [] if self._tags is None else _tags(fields[self._tags]),
            None if self._consent_at is None else self._agreed(fields[self._consent_at].strip()),
            "" if self._consent_source is None else fields[self._consent_source].strip(),
        )

    def _agreed(self, text: str) -> int | None:
        try:
            moment = _moment(text)
        except ValueError as error:
            raise ConsentError(f"the consent's date cannot be read: {error}") from error
        if moment is not None and moment > self._latest:
            raise ConsentError(f"the consent's date is still to come: {text}")
        return moment


@lru_cache(maxsize=1024)  # a file says the same few again and again
def language_of(text: str) -> str:
    """`fr`, `pt-BR`; empty when it is no language."""
    text = text.strip()
    named = _LANGUAGES.get(plain(text))
    if named is not None or not _TAG.fullmatch(text):
        return named or ""
    return text.replace("_", "-")[:16]


def _tags(text: str) -> list[str]:
    return [tag for part in re.split(r"[,;|]", text) if (tag := part.strip().strip('"').strip())]


def _unpacked(text: str) -> dict[str, str]:
    """The attributes of our own export; what a spreadsheet broke is none."""
    try:
        found = json.loads(text) if text else {}
    except ValueError:
        return {}
    return {str(name): str(value) for name, value in found.items()} if type(found) is dict else {}


@lru_cache(maxsize=4096)
def _moment(text: str) -> int | None:
    """ISO 8601 or day first; without a zone it is UTC."""
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = _day_first(text)
    return micros(moment if moment.tzinfo else moment.replace(tzinfo=UTC))


def _day_first(text: str) -> datetime:
    for form in _DAY_FIRST:
        try:
            return datetime.strptime(text, form).replace(tzinfo=UTC)
        except ValueError:
            continue
    raise ValueError(f"{text!r}; write 2026-12-31 or 31/12/2026")
