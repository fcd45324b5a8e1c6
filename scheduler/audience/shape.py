"""How somebody's CSV is written, found by looking: encoding, delimiter, headings."""

from __future__ import annotations

import codecs
import csv
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

from scheduler.audience.address import AddressError, usable_address
from scheduler.audience.headings import MappingError, holds_addresses
from scheduler.audience.lines import BLOCK, Lines

_DELIMITERS = ",;\t|"
_NAMED = {"tab": "\t", "\\t": "\t", "semicolon": ";", "comma": ","}
_EXCEL_SAYS = re.compile(r"\ufeff?\"?sep=(.)\"?", re.IGNORECASE)
_NOTHING = f"\ufeff \r\n{_DELIMITERS}"
_LINES_OF_HEADINGS = 50
# ZIP (.xlsx, .ods) and the older Office format.
_SPREADSHEETS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")


@dataclass(frozen=True, slots=True)
class Shape:
    """How a file is written. `before`: lines before its first row; `digest` names its content."""

    encoding: str
    delimiter: str
    headings: list[str]
    before: int
    size: int
    digest: str


def shape_of(path: Path, *, delimiter: str = "", encoding: str = "") -> Shape:
    """Look at a whole file once. Errors: OSError, MappingError for what is empty or no CSV."""
    hashed = blake2b(digest_size=16)
    utf8 = codecs.getincrementaldecoder("utf-8")()
    is_utf8, start, size = True, b"", 0
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            hashed.update(block)
            start = start or block[:4]
            size += len(block)
            if is_utf8:
                try:
                    utf8.decode(block)
                except UnicodeDecodeError:
                    is_utf8 = False
    if start.startswith(_SPREADSHEETS):
        raise MappingError(f"{path.name} is a spreadsheet's own file; save it there as CSV")
    chosen = encoding or _encoding(start, is_utf8=is_utf8)
    first, before, said = _first_record(path, chosen)
    between = _delimiter(delimiter) or said or _likeliest(first)
    fields = [one.strip() for one in _fields(first, between)]
    headings, are_headings = _headings(fields)
    if not are_headings:
        before -= first.count("\n") or 1
    return Shape(chosen, between, headings, before, size, hashed.hexdigest())


def _encoding(start: bytes, *, is_utf8: bool) -> str:
    if start.startswith(codecs.BOM_UTF8):
        return "utf-8-sig"
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    match [byte == 0 for byte in start]:
        case [False, True, False, True]:
            return "utf-16-le"
        case [True, False, True, False]:
            return "utf-16-be"
        case _:
            return "utf-8" if is_utf8 else "cp1252"


def _first_record(path: Path, encoding: str) -> tuple[str, int, str]:
    """The first line that says something (several, where a heading has a line break), how many
    lines have been read then, and the delimiter that Excel's own line before it names."""
    said = ""
    with path.open(encoding=encoding, errors="replace", newline="") as file:
        lines = Lines(file)
        for line in lines:
            if not line.strip(_NOTHING):
                continue
            if len(line) == BLOCK:
                raise MappingError(f"the first line of {path.name} is too long for headings")
            excel = _EXCEL_SAYS.fullmatch(line.strip("\r\n"))
            if excel is not None and not said:
                said = excel[1]
                continue
            return (*_whole(line, lines), said)
    raise MappingError(f"{path.name} has no headings: it is empty")


def _whole(line: str, lines: Lines) -> tuple[str, int]:
    """With the lines that its last quoted field goes on for."""
    record, number = line, lines.number
    if line.count('"') % 2:
        for more, _ in zip(lines, range(_LINES_OF_HEADINGS), strict=False):
            record += more
            if record.count('"') % 2 == 0:
                return record, lines.number
    return line, number


def _delimiter(chosen: str) -> str:
    one = _NAMED.get(chosen.lower(), chosen)
    if len(one) > 1 or one in {'"', "\r", "\n"}:
        raise MappingError(f"{chosen!r} cannot part fields: one character does, or `tab`")
    return one


def _likeliest(first: str) -> str:
    """The delimiter by which there is a heading for addresses, and most fields."""
    return max(
        _DELIMITERS,
        key=lambda one: (any(map(holds_addresses, _fields(first, one))), len(_fields(first, one))),
    )


def _fields(record: str, delimiter: str) -> list[str]:
    try:
        return next(csv.reader(record.splitlines(keepends=True), delimiter=delimiter), [])
    except csv.Error as error:
        raise MappingError(f"the first line is not CSV: {error}") from error


def _headings(fields: Sequence[str]) -> tuple[list[str], bool]:
    """Each of them once, and whether the file has any: else its first line is a person."""
    if not any(map(holds_addresses, fields)):
        at = next((at for at, field in enumerate(fields) if _is_address(field)), None)
        if at is not None:
            return ["email" if n == at else f"column {n + 1}" for n in range(len(fields))], False
    seen: Counter[str] = Counter()
    names = []
    for field in fields:
        seen[field] += 1
        names.append(field if seen[field] == 1 or not field else f"{field} {seen[field]}")
    return names, True


def _is_address(text: str) -> bool:
    try:
        return bool(usable_address(text))
    except AddressError:
        return False
