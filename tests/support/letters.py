"""What a mail has to be before servers and readers take it well: checked on what arrived."""

from __future__ import annotations

import re
from collections.abc import Mapping
from email import message_from_bytes, policy
from email.message import EmailMessage

import dkim

ONCE = ("From", "To", "Date", "Message-ID", "Subject", "MIME-Version", "List-Id")
_ONE_CLICK = "List-Unsubscribe=One-Click"
_FIELD = re.compile(rb"[!-9;-~]+:[ \t]?[ -~\t]*")


def problems(raw: bytes, records: Mapping[str, bytes]) -> list[str]:
    """What is wrong with a newsletter as it arrived; `records`: TXT of DNS by name. Empty: it may
    go to anybody."""
    message = message_from_bytes(raw, policy=policy.default)
    return [
        *_lines(raw),
        *_head(message, raw),
        *_parts(message),
        *_unsubscribe(message),
        *_signature(message, raw, records),
    ]


def _lines(raw: bytes) -> list[str]:
    """RFC 5322, sections 2.1.1 and 2.3."""
    found = [f"a line of {len(line)} bytes" for line in raw.split(b"\r\n") if len(line) > 998]
    if re.search(rb"(?<!\r)\n|\r(?!\n)", raw):
        found.append("a line that does not end in CRLF")
    return found


def _head(message: EmailMessage, raw: bytes) -> list[str]:
    """RFC 5322, section 3.6."""
    head = raw.partition(b"\r\n\r\n")[0]
    unfolded = re.sub(rb"\r\n(?=[ \t])", b"", head)
    found = [f"no header field: {f!r}" for f in unfolded.split(b"\r\n") if not _FIELD.fullmatch(f)]
    counts = {name: len(message.get_all(name, [])) for name in ONCE}
    found += [f"{count} times {name}" for name, count in counts.items() if count != 1]
    for name in ("From", "To", "Date", "Message-ID", "Subject"):
        field = message[name]
        found += [f"{name}: {defect!r}" for defect in getattr(field, "defects", ())]
    if len(message["From"].addresses) != 1 or not message["From"].addresses[0].domain:
        found.append("From is not one mailbox")
    if message["Date"].datetime is None or message["Date"].datetime.tzinfo is None:
        found.append("Date is no moment")
    return found


def _parts(message: EmailMessage) -> list[str]:
    """RFC 2045 and 2046: everything decodes, and there is text beside the HTML."""
    found = [f"{p.get_content_type()}: {d!r}" for p in message.walk() for d in p.defects]
    plain, html = message.get_body(("plain",)), message.get_body(("html",))
    if plain is None or not plain.get_content().strip():
        return [*found, "no text part"]
    if html is None or not html.get_content().strip():
        return [*found, "no HTML part"]
    kinds = [part.get_content_type() for part in message.walk()]
    if kinds.index("text/plain") > kinds.index("text/html"):
        found.append("the text comes after the HTML, which is the better one")
    return found


def _unsubscribe(message: EmailMessage) -> list[str]:
    """RFC 8058."""
    found = []
    if not re.search(r"<https://[^>]+>", str(message["List-Unsubscribe"])):
        found.append("List-Unsubscribe has no https address")
    if message["List-Unsubscribe-Post"] != _ONE_CLICK:
        found.append("no one-click unsubscribe")
    return found


def _signature(message: EmailMessage, raw: bytes, records: Mapping[str, bytes]) -> list[str]:
    signature = "".join(str(message["DKIM-Signature"]).split())
    if not dkim.verify(raw, dnsfunc=lambda name, timeout=5: records.get(name.decode())):
        return ["DKIM does not verify"]
    (signed,) = re.findall(r"[; ]h=([^;]*)", f";{signature}")
    names = signed.lower().split(":")
    wanted = ("from", "to", "subject", "date", "list-unsubscribe", "list-unsubscribe-post")
    return [f"{name} is not signed" for name in wanted if name not in names]
