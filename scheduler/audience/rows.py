"""Reads somebody's CSV as a stream: any usual encoding and delimiter, a reason for each bad row."""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path

from scheduler.audience.address import AddressError, usable_address
from scheduler.audience.headings import Columns, MappingError, Meaning, columns_of, plain
from scheduler.clock import micros

_DELIMITERS = ",;\t|"
_BLOCK = 1 << 20
_LONGEST = 2000  # characters of a value: longer ones are a file gone wrong
_LANGUAGES = {
    "francais": "fr", "french": "fr", "english": "en", "anglais": "en", "deutsch": "de",
    "german": "de", "allemand": "de", "espanol": "es", "spanish": "es", "espagnol": "es",
    "italiano": "it", "italian": "it", "italien": "it", "nederlands": "nl", "dutch": "nl",
}  # fmt: skip
_TAG = re.compile(r"[A-Za-z]{2,3}(?:[-_][A-Za-z0-9]{2,8})*")
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


@dataclass(frozen=True, slots=True)
class Shape:
    """How a file is written. `digest` names its content."""

    encoding: str
    delimiter: str
    headings: list[str]
    size: int
    digest: str


def shape_of(path: Path, *, delimiter: str = "", encoding: str = "") -> Shape:
    """Look at a whole file once. Errors: OSError, MappingError for an empty one."""
    hashed = blake2b(digest_size=16)
    utf8 = codecs.getincrementaldecoder("utf-8")()
    is_utf8, start, size = True, b"", 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            hashed.update(block)
            start = start or block[:4]
            size += len(block)
            if is_utf8:
                try:
                    utf8.decode(block)
                except UnicodeDecodeError:
                    is_utf8 = False
    chosen = encoding or _encoding(start, is_utf8=is_utf8)
    with path.open(encoding=chosen, errors="replace", newline="") as text:
        first = text.readline(_BLOCK)
    if len(first) == _BLOCK:
        raise MappingError(f"the first line of {path.name} is too long for headings")
    if not first.strip():
        raise MappingError(f"{path.name} has no headings in its first line")
    between = delimiter or max(_DELIMITERS, key=first.count)
    headings = next(csv.reader([first], delimiter=between))
    return Shape(chosen, between, [one.strip() for one in headings], size, hashed.hexdigest())


def _encoding(start: bytes, *, is_utf8: bool) -> str:
    if start.startswith(codecs.BOM_UTF8):
        return "utf-8-sig"
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    return "utf-8" if is_utf8 else "cp1252"


def read_rows(
    path: Path, shape: Shape, chosen: Mapping[str, str], *, skip: int = 0
) -> Iterator[tuple[int, Person | BadRow]]:
    """Rows after the headings, with how many were read so far; `skip` leaves out the first ones.
    Errors: OSError, MappingError."""
    columns = columns_of(shape.headings, chosen)
    read = _Reader(columns).read
    number = 0
    with path.open(encoding=shape.encoding, errors="replace", newline="") as file:
        # A line without an end is cut, so that it fills no memory; no good row is that long.
        lines = csv.reader(iter(lambda: file.readline(_BLOCK), ""), delimiter=shape.delimiter)
        next(lines)
        while True:
            try:
                fields = next(lines, None)
            except csv.Error as error:
                number += 1
                if number > skip:
                    yield number, BadRow(lines.line_num, f"not CSV: {error}", [])
                continue
            if fields is None:
                return
            if fields:
                number += 1
                if number > skip:
                    yield number, read(lines.line_num, fields)


class _Reader:
    """Turns the fields of a row into a person."""

    def __init__(self, columns: Columns) -> None:
        at = columns.by_meaning
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

    def read(self, line: int, fields: list[str]) -> Person | BadRow:
        missing = self._count - len(fields)
        if missing > 0:
            fields = fields + [""] * missing
        elif missing < 0:
            return BadRow(line, f"{-missing} fields more than headings; quote what holds the"
                          " delimiter", fields)  # fmt: skip
        whole = "".join(fields)
        if "\x00" in whole or len(whole) > _LONGEST:
            return BadRow(line, "a NUL character, or far too long for a contact", fields[:1])
        try:
            return self._person(line, fields)
        except AddressError as error:
            return BadRow(line, str(error), fields)
        except ValueError as error:
            return BadRow(line, f"the consent's date cannot be read: {error}", fields)

    def _person(self, line: int, fields: list[str]) -> Person:
        return Person(
            line,
            usable_address(fields[self._email]),
            " ".join([fields[at].strip() for at in self._names if fields[at]]),
            "" if self._language is None else language_of(fields[self._language]),
            {name: value for at, name in self._attributes if (value := fields[at].strip())},
            [] if self._tags is None else _tags(fields[self._tags]),
            None if self._consent_at is None else _moment(fields[self._consent_at].strip()),
            "" if self._consent_source is None else fields[self._consent_source].strip(),
        )


@lru_cache(maxsize=1024)  # a file says the same few again and again
def language_of(text: str) -> str:
    """`fr`, `pt-BR`; empty when it is no language."""
    text = text.strip()
    named = _LANGUAGES.get(plain(text))
    if named is not None or not _TAG.fullmatch(text):
        return named or ""
    return text.replace("_", "-")[:16]


def _tags(text: str) -> list[str]:
    return [tag for part in re.split(r"[,;|]", text) if (tag := part.strip())]


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
