"""What comes back by mail: bounces (RFC 3464), complaints (RFC 5965), and readers who unsubscribe,
read without I/O.

Reports can be forged by anybody. One counts only when the mail it speaks of, or the address it was
sent back to, carries the tag that we signed for its reader.
"""

from __future__ import annotations

import hmac
import re
from base64 import b32decode
from dataclasses import dataclass, replace
from email import message_from_bytes, policy
from email.message import EmailMessage, Message
from enum import StrEnum
from hashlib import sha256
from uuid import UUID

from scheduler.audience.keyed import keyed_hash

_SIGNATURE = 8
_ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"
_STATUS = re.compile(r"\b([245])\.(\d{1,3})\.(\d{1,3})\b")
# In an address: `bounces+{tag}@…`, whatever the case a server on the way gave it.
_TAG = re.compile(r"\+([a-z2-7]{39})@", re.IGNORECASE)
# The subject that our List-Unsubscribe header gives, with the number that is in the Message-ID.
_LEAVES = re.compile(r"\s*unsubscribe\s+([0-9a-f]{32})\s*", re.IGNORECASE)
_PAIRS = [first + second for first in _ALPHABET for second in _ALPHABET]
# Full, slow, blocked or too large says nothing about whether the mailbox exists.
_NO_SUCH_READER = frozenset({"5.1.1", "5.1.0", "5.1.2", "5.1.3", "5.1.6", "5.1.10", "5.2.1"})
# Policy, spam, our DNS, our size, our form: the mailbox is well.
_NOT_THE_READER = ("5.7.", "5.6.", "5.3.4", "4.7.")


class Kind(StrEnum):
    """What a returned mail says. `REFUSED`: the mailbox is full, or did not answer for days;
    counted, and once too often ends it. `BLOCKED`: they did not want this mail, or us; says
    nothing of the reader. `LEFT`: they wrote to the address that unsubscribes."""

    GONE = "no-such-address"
    DELAYED = "delayed"
    REFUSED = "refused"
    BLOCKED = "blocked"
    COMPLAINT = "complaint"
    LEFT = "unsubscribed"


@dataclass(frozen=True, slots=True)
class Returned:
    """A report about one reader, whose tag was ours. `status`: RFC 3463, empty for complaints.
    `about`: the Message-ID of the mail that it is about, as far as it says."""

    kind: Kind
    contact_id: str
    status: str = ""
    detail: str = ""
    about: str = ""


def tag_of(key: bytes, contact_id: str) -> str:
    """39 letters and digits for the envelope's sender: they name a contact and are signed. Empty
    for an id that is no UUID, of which nothing can be told."""
    try:
        named = bytes.fromhex(
            contact_id.replace("-", "")
        )  # `UUID` costs a mailing three times that
    except ValueError:
        return ""
    if len(named) != 16:
        return ""
    return _base32(named + _signature(key, named))


def _base32(data: bytes) -> str:
    """24 bytes as RFC 4648 has it, without padding, in small letters: `b32encode` and making its
    answer small takes twice as long, and a mailing asks once a mail."""
    number = int.from_bytes(data) << 8
    return "".join([_PAIRS[number >> shift & 1023] for shift in range(190, -1, -10)])[:-1]


def contact_of(key: bytes, tag: str) -> str | None:
    """The contact that a tag names, None if we did not make it."""
    try:
        data = b32decode(tag.upper() + "=" * (-len(tag) % 8))
    except ValueError:
        return None
    named, signature = data[:16], data[16:]
    if len(named) != 16 or not hmac.compare_digest(signature, _signature(key, named)):
        return None
    return str(UUID(bytes=named))


def _signature(key: bytes, named: bytes) -> bytes:
    return keyed_hash(key, b"bounce " + named)[:_SIGNATURE]


def read(key: bytes, mail: bytes) -> Returned | None:
    """What a mail reports; None for answers, automatic replies, and reports that are not about a
    mail of ours."""
    message = message_from_bytes(mail, policy=policy.default)
    report = message.get_content_type() == "multipart/report"
    kind = str(message.get_param("report-type", "")).lower() if report else ""
    contact_id = _reader(key, message)
    if contact_id is None:
        return None
    if not report:
        return _leaving(message, contact_id)
    if kind == "feedback-report":
        found = _complaint(message, contact_id)
    elif kind == "delivery-status" and _from_nobody(message):
        found = _bounce(message, contact_id)
    else:
        return None
    return None if found is None else replace(found, about=_about(message))


def _leaving(message: EmailMessage, contact_id: str) -> Returned | None:
    """A mail program's wish to unsubscribe; no reply that a program made by itself."""
    subject = _LEAVES.fullmatch(str(message.get("Subject", "")))
    by_itself = str(message.get("Auto-Submitted", "no")).strip().lower() != "no"
    if subject is None or by_itself:
        return None
    return Returned(Kind.LEFT, contact_id, about=subject[1].lower())


def slot_of(mail: bytes, returned: Returned) -> str:
    """What a report is remembered by: the same whichever way, and however often, it comes."""
    named = message_from_bytes(mail).get("Message-ID", "")
    name = str(named).strip().encode() or mail
    about = f"{returned.kind} {returned.contact_id} {returned.status} ".encode()
    return sha256(about + name).hexdigest()


def _from_nobody(message: EmailMessage) -> bool:
    """A bounce has no sender, so that nothing bounces back (RFC 3464, section 2): where the server
    that took it wrote down another, it is none."""
    sender = message.get("Return-Path")
    return sender is None or str(sender).strip() in {"<>", ""}


def _reader(key: bytes, message: EmailMessage) -> str | None:
    """By the address it came back to, else by the headers of the mail it encloses."""
    for name in ("X-Original-To", "Delivered-To", "To"):
        for value in message.get_all(name, ()):
            if (found := _tagged(key, str(value))) is not None:
                return found
    for part in message.walk():
        if part.get_content_type() in {"message/rfc822", "text/rfc822-headers"}:
            enclosed = _inside(part)
            for name in ("Return-Path", "X-Envelope-From"):
                if (found := _tagged(key, str(enclosed.get(name, "")))) is not None:
                    return found
        if part.get_content_type() == "message/feedback-report":
            sender = _inside(part).get("Original-Mail-From", "")
            if (found := _tagged(key, str(sender))) is not None:
                return found
    return None


def _about(message: EmailMessage) -> str:
    for part in message.walk():
        if part.get_content_type() in {"message/rfc822", "text/rfc822-headers"}:
            return str(_inside(part).get("Message-ID", "")).strip()[:300]
    return ""


def _tagged(key: bytes, text: str) -> str | None:
    found = _TAG.search(text)
    return None if found is None else contact_of(key, found[1])


def _complaint(message: EmailMessage, contact_id: str) -> Returned | None:
    for part in message.walk():
        if part.get_content_type() == "message/feedback-report":
            said = str(_inside(part).get("Feedback-Type", "")).strip().lower()
            if said == "not-spam":
                return None
            return Returned(Kind.COMPLAINT, contact_id, detail=said)
    return None


def _bounce(message: EmailMessage, contact_id: str) -> Returned | None:
    for part in message.walk():
        if part.get_content_type() != "message/delivery-status":
            continue
        blocks = part.get_payload()
        for block in blocks if isinstance(blocks, list) else ():
            if isinstance(block, Message) and "Action" in block:
                return _verdict(block, contact_id)
    return None


def _verdict(block: Message, contact_id: str) -> Returned | None:
    """One recipient's fate: RFC 3464, section 2.3."""
    action = str(block["Action"]).strip().lower()
    found = _STATUS.search(str(block.get("Status", "")))
    status = "" if found is None else found[0]
    detail = " ".join(str(block.get("Diagnostic-Code", "")).split())[:300]
    if action == "delayed":
        return Returned(Kind.DELAYED, contact_id, status, detail)
    if action != "failed":
        return None
    return Returned(kind_of(status, detail), contact_id, status, detail)


def kind_of(status: str, words: str) -> Kind:
    """What a failure for good says. Some servers give a general status, and the exact one with the
    words they were told."""
    if status in {"5.0.0", ""}:
        inner = _STATUS.search(words)
        status = status if inner is None else inner[0]
    if status in _NO_SUCH_READER:
        return Kind.GONE
    return Kind.BLOCKED if status.startswith(_NOT_THE_READER) else Kind.REFUSED


def _inside(part: Message) -> Message:
    """What a part encloses: the parser takes some of them apart and leaves others as text."""
    payload = part.get_payload()
    if isinstance(payload, list) and payload and isinstance(payload[0], Message):
        return payload[0]
    data = part.get_payload(decode=True)
    return message_from_bytes(data if isinstance(data, bytes) else b"")
