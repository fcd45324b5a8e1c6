"""Text in quoted-printable with gaps for a reader's own values: encoded once, filled for each."""

from __future__ import annotations

import binascii
import html
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

from channels.newsletter.holes import Hole, Place, holes

CLICK_QUERY, OPEN_PICTURE = "_click_query", "_open_picture"
# What quoted-printable leaves alone on a line of its own, before a soft line break.
_LINE = 72
_AS_IT_IS = re.compile(r"[!-<>-~](?:[ -<>-~]*[!-<>-~])?")
_ONE_WORD = re.compile(r"[!-<>-~]+")


class Gap(NamedTuple):
    """Where a reader's own value goes. `kept`: in its place for who has none. `words`: as it is
    among the words of the text (False: of the HTML), None where `fill` knows more."""

    name: str
    kept: bytes
    words: bool | None
    fill: Callable[[str], bytes]


class _Value(NamedTuple):
    """All places of one value in a template, by what is put there."""

    name: str
    plain: list[int]
    marked_up: list[int]
    others: list[tuple[int, Callable[[str], bytes]]]


class Template:
    """Bytes with gaps."""

    def __init__(self, pieces: Iterable[bytes | Gap]) -> None:
        self._frame: list[bytes] = [b""]
        values: dict[str, _Value] = {}
        for piece in pieces:
            if isinstance(piece, bytes):
                self._frame[-1] += piece
                continue
            value = values.setdefault(piece.name, _Value(piece.name, [], [], []))
            at = len(self._frame)
            if piece.words is None:
                value.others.append((at, piece.fill))
            else:
                (value.plain if piece.words else value.marked_up).append(at)
            self._frame += [piece.kept, b""]
        self._values = list(values.values())
        self._dotted = any(map(_dotted, self._frame))

    def fill(self, values: Mapping[str, str]) -> tuple[list[bytes], bool]:
        """Filled, and whether a line of it may begin with a dot."""
        frame, dotted = self._frame.copy(), self._dotted
        for name, plain, marked_up, others in self._values:
            value = values.get(name)
            if not value:
                continue
            if plain or marked_up:
                quoted = _quoted(value)
                for at in plain:
                    frame[at] = quoted
                if (escaped := html.escape(value)) != value:
                    dotted = dotted or _dotted(quoted)
                    quoted = _quoted(escaped)
                for at in marked_up:
                    frame[at] = quoted
                dotted = dotted or _dotted(quoted)
            for at, fill in others:
                frame[at] = quoted = fill(value)
                dotted = dotted or _dotted(quoted)
        return frame, dotted


def _dotted(piece: bytes) -> bool:
    return piece.startswith(b".") or b"\r\n." in piece


def encoded(text: str, *, plain: bool) -> Iterator[bytes | Gap]:
    """Quoted-printable pieces of `text`; each gap stands between two soft line breaks."""
    end = 0
    for hole in holes(text):
        yield _quoted(text[end : hole.start], text=True) + b"=\r\n"
        yield _gap(hole, plain=plain)
        yield b"=\r\n"
        end = hole.end
    yield _quoted(text[end:], text=True)


def _gap(hole: Hole, *, plain: bool) -> Gap:
    escape: Callable[[str], str] = _as_said if plain else html.escape
    if hole.name == OPEN_PICTURE:
        escape = _picture_of
    # The query is a part of our own address, made for it.
    usual = hole.name == CLICK_QUERY or (hole.name != OPEN_PICTURE and hole.place is Place.WORDS)

    def fill(value: str) -> bytes:
        return _quoted(hole.value(value, escape=escape))

    kept = _quoted(hole.value(hole.fallback, escape=escape))
    return Gap(hole.name, kept, plain if usual else None, fill)


def _as_said(text: str) -> str:
    return text


def _picture_of(url: str) -> str:
    source = html.escape(url)
    return f'<img src="{source}" width="1" height="1" alt="">' if url else ""


def _quoted(value: str, *, text: bool = False) -> bytes:
    if _ONE_WORD.fullmatch(value):  # a link, mostly
        data = value.encode()
        return b"=\r\n".join([data[at : at + _LINE] for at in range(0, len(data), _LINE)])
    if len(value) <= _LINE and _AS_IT_IS.fullmatch(value):
        return value.encode("ascii")
    if "\r" in value:
        value = value.replace("\r\n", "\n").replace("\r", "\n")
    data = value.encode("utf-8", "replace")
    return binascii.b2a_qp(data, istext=text).replace(b"\n", b"\r\n")
