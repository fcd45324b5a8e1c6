"""Header fields that nobody can break out of: text encoded by RFC 2047, controls refused."""

from __future__ import annotations

import re
from binascii import b2a_base64
from collections.abc import Iterator
from email.header import Header

from email_validator import EmailNotValidError, validate_email

_PLAIN_NAME = re.compile(r"[A-Za-z0-9 !#$%&'*+/=?^_`{|}~-]{0,60}")
_ENVELOPE = re.compile(r"[!#-;=?A-Z^-~-]{1,64}@[A-Za-z0-9.-]{1,253}")
# 45 bytes are 60 characters in base64: with its frame, one encoded word within 76.
_ONE_WORD = 45
_PART = 39  # bytes: with its frame and the field's name within 76
_ONE_LINE = 66  # characters


class UnsafeHeaderError(ValueError):
    """A value would end its header line, or cannot stand in one."""


def field(name: str, value: str) -> bytes:
    """`Name: value`, encoded and folded. Error: UnsafeHeaderError on line breaks and controls."""
    refuse_controls(name, value)
    charset = "ascii" if value.isascii() else "utf-8"
    header = Header(value, charset, maxlinelen=76, header_name=name)
    encoded = header.encode(linesep="\r\n")
    return f"{name}: {encoded}\r\n".encode("ascii")


def subject(value: str) -> bytes:
    """`Subject: value` for one reader among many: the library's way takes eight times as long for
    a whole mail. Error: UnsafeHeaderError on line breaks and controls."""
    refuse_controls("Subject", value)
    if len(value) <= _ONE_LINE and value.isascii() and "=?" not in value:
        return f"Subject: {value}\r\n".encode("ascii")
    words = [
        "=?utf-8?b?" + b2a_base64(part, newline=False).decode("ascii") + "?="
        for part in _parts(value.encode("utf-8", "replace"))
    ]
    folded = "\r\n ".join(words)
    return f"Subject: {folded}\r\n".encode("ascii")


def _parts(data: bytes) -> Iterator[bytes]:
    """Cut between two characters."""
    while len(data) > _PART:
        end = _PART
        while data[end] & 0xC0 == 0x80:  # within a character
            end -= 1
        yield data[:end]
        data = data[end:]
    yield data


def refuse_controls(name: str, value: str) -> None:
    if any(ord(character) < 32 or ord(character) == 127 for character in value):
        raise UnsafeHeaderError(f"{name} contains a line break or a control character")


def mailbox(name: str, address: str) -> bytes:
    """`Name <address>` as To and From want it; `address` is one that `envelope` accepted."""
    if not name:
        return address.encode("ascii")
    return phrase(name) + b" <" + address.encode("ascii") + b">"


def phrase(name: str) -> bytes:
    """A display name; line breaks and controls in it become spaces."""
    if not name.isprintable():
        name = " ".join("".join(c if c.isprintable() else " " for c in name).split())
    if _PLAIN_NAME.fullmatch(name):
        return b'"' + name.encode("ascii") + b'"'
    data = name.encode("utf-8")
    if len(data) <= _ONE_WORD:
        return b"=?utf-8?b?" + b2a_base64(data, newline=False) + b"?="
    return Header(name, "utf-8", maxlinelen=70).encode(linesep="\r\n").encode("ascii")


def envelope(address: str) -> str:
    """The address as SMTP carries it, an international domain in its ASCII form.

    Error: UnsafeHeaderError when no mail can be sent to it.
    """
    if _ENVELOPE.fullmatch(address):
        return address
    try:
        found = validate_email(address, check_deliverability=False, test_environment=True)
    except EmailNotValidError as error:
        raise UnsafeHeaderError(f"not an address that mail can reach: {error}") from error
    if found.ascii_email is None or not _ENVELOPE.fullmatch(found.ascii_email):
        raise UnsafeHeaderError("an address whose part before the @ is not plain ASCII")
    return found.ascii_email
