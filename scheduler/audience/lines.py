"""Records of a CSV file. A quotation mark that is opened and not closed costs its own line, not
the good rows behind it."""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TextIO

BLOCK = 1 << 20
LONGEST = 2000  # characters of a record: longer ones are a file gone wrong
_SHOWN = 200
_UNCLOSED = "a quotation mark opens and does not close: close it, or write it twice"
_SWALLOWED = "it holds what looks like another row: a quotation mark is missing, or is too many"


@dataclass(frozen=True, slots=True)
class Broken:
    """What is no record, and why."""

    reason: str
    fields: list[str]


class Lines:
    """The lines of a file, counted. One without an end is cut, so that it fills no memory; no good
    row is that long. `taken`: those since it was last cleared."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._again: deque[str] = deque()
        self.number = 0
        self.taken: list[str] = []

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._again.popleft() if self._again else self._file.readline(BLOCK)
        if not line:
            raise StopIteration
        if len(line) == BLOCK:
            end = line
            while end and not end.endswith(("\n", "\r")):
                end = self._file.readline(BLOCK)
        self.number += 1
        self.taken.append(line)
        return line

    def give_back(self, lines: Sequence[str]) -> None:
        """They are read again, next."""
        self._again.extendleft(reversed(lines))
        self.number -= len(lines)


def records(lines: Lines, delimiter: str, width: int) -> Iterator[tuple[int, list[str] | Broken]]:
    """The first line, from 1, and the fields of each record that is not empty; `width`: how many
    fields it should have."""
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    taken = lines.taken
    while True:
        taken.clear()
        line = lines.number + 1
        try:
            fields = next(reader, None)
        except csv.Error:
            yield line, _mended(lines, delimiter)
            continue
        if fields is None:
            return
        if len(taken) > 1:
            yield line, _of_several_lines(lines, fields, delimiter, width)
        elif any(fields):
            yield line, fields


def _mended(lines: Lines, delimiter: str) -> list[str] | Broken:
    """What is not strictly CSV: a quotation mark within a quoted field is let pass."""
    first = lines.taken[0]
    if len(lines.taken) > 1 or first.count('"') % 2:
        return _unclosed(lines)
    try:
        return next(csv.reader([first], delimiter=delimiter))
    except csv.Error as error:
        return Broken(f"not CSV: {error}", [first[:_SHOWN]])


def _of_several_lines(
    lines: Lines, fields: list[str], delimiter: str, width: int
) -> list[str] | Broken:
    """A record with a line break in a field, if it is one."""
    if len(fields) > width or sum(map(len, lines.taken)) > LONGEST:
        return _unclosed(lines)
    if any("@" in one and one.count(delimiter) >= width - 1 for one in lines.taken[1:]):
        return Broken(_SWALLOWED, fields)
    return fields


def _unclosed(lines: Lines) -> Broken:
    first, *others = lines.taken
    lines.give_back(others)
    return Broken(_UNCLOSED, [first.rstrip("\r\n")[:LONGEST]])
