"""What a mail server's reply means: one table, read from the top.

Sources: RFC 5321, RFC 3463, and the codes that Gmail, Yahoo and Microsoft document. The enhanced
status code is preferred; it is read only where RFC 2034 puts it, at the start of the text, never
searched for in the rest, where a trace id may look like one. Words of the text decide only when
the codes say nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, StrEnum, auto

from channels.outcome import (
    AccessLost,
    AccessReason,
    Evidence,
    Outcome,
    Problem,
    Rejected,
    Throttled,
    Unavailable,
    Unreachable,
)

_ENHANCED = re.compile(r"\s*([245]\.\d{1,3}\.\d{1,3})(?=\s|$)")
_CODES = re.compile(rb"\d{3}[ -]\s*([245]\.\d{1,3}\.\d{1,3})(?=\s|$)")


class Stage(StrEnum):
    """Which command a reply answers. `BODY` is the message itself, ended by the final dot."""

    GREETING = "greeting"
    HELLO = "EHLO"
    TLS = "STARTTLS"
    LOGIN = "AUTH"
    NOOP = "NOOP"
    RESET = "RSET"
    SENDER = "MAIL FROM"
    RECIPIENT = "RCPT TO"
    DATA = "DATA"
    BODY = "message"
    EMPTY = "empty message"


@dataclass(frozen=True, slots=True)
class Reply:
    """One complete reply: the code and its lines, joined by line feeds."""

    code: int
    text: str

    @classmethod
    def read(cls, lines: bytes) -> Reply:
        """From the lines as they came, each beginning with the code."""
        words = [line.rstrip(b"\r")[4:].decode("utf-8", "replace") for line in lines.split(b"\n")]
        return cls(int(lines[:3]), "\n".join(words))

    @property
    def enhanced(self) -> str:
        """The enhanced status code (`5.1.1`), empty when the server gave none."""
        found = _ENHANCED.match(self.text)
        return found[1] if found and found[1][0] == str(self.code)[0] else ""

    @property
    def accepted(self) -> bool:
        return 200 <= self.code < 400


def code_of(lines: bytes) -> str:
    """The enhanced status code of a reply as it came, else its plain code."""
    found = _CODES.match(lines)
    return (found[1] if found else lines[:3]).decode()


class Meaning(Enum):
    """What a refusal tells us; `outcome_of` gives each its outcome."""

    LATER = auto()
    SLOW_DOWN = auto()
    REPUTATION = auto()
    NO_SUCH_USER = auto()
    MAILBOX_FULL = auto()
    NOT_NOW_FOR_THEM = auto()
    TOO_LARGE = auto()
    POLICY = auto()
    OUR_DNS = auto()
    OUR_LOGIN = auto()
    OUR_SENDER = auto()
    OUR_ORDER = auto()
    REFUSED = auto()


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: patterns for the code, the enhanced code (`-` when there is none or
    it says nothing) and the text; None matches all. `stages` empty: any."""

    meaning: Meaning
    code: str
    enhanced: str | None = None
    words: str | None = None
    stages: frozenset[Stage] = frozenset()

    def matches(self, stage: Stage, reply: Reply, enhanced: str) -> bool:
        return (
            (not self.stages or stage in self.stages)
            and re.fullmatch(self.code, str(reply.code)) is not None
            and (self.enhanced is None or re.fullmatch(self.enhanced, enhanced) is not None)
            and (self.words is None or re.search(self.words, reply.text, re.IGNORECASE) is not None)
        )


_SILENT = r"-"
_OPENING = frozenset({Stage.GREETING, Stage.HELLO})
_ONE_READER = frozenset({Stage.RECIPIENT, Stage.DATA, Stage.BODY})
_LISTED = r"\b(block ?list(ed)?|black ?list(ed)?|dnsbl|rbl|spamhaus|spamcop|barracuda)\b"
_UNKNOWN = (
    r"\b(user unknown|unknown user|no such (user|recipient|mailbox|address)|does ?n.t exist"
    r"|does not exist|invalid (recipient|mailbox|address)|(mailbox|recipient) not found"
    r"|(account|mailbox) (is )?(disabled|inactive|unavailable)|utilisateur inconnu)\b"
)
_FULL = r"\b(over ?quota|quota (exceeded|full)|exceed\w* (its |the )?quota|mailbox (is )?full)\b"
_SPAM = r"\b(spam|policy|block(ed)?|reputation|unsolicited|content (rejected|refused))\b"

# The first row that matches decides.
TABLE: tuple[Row, ...] = (
    Row(Meaning.OUR_LOGIN, r"530|534|535|538"),
    Row(Meaning.OUR_LOGIN, r"5\d\d", stages=frozenset({Stage.LOGIN})),
    Row(Meaning.LATER, r"4\d\d", stages=frozenset({Stage.LOGIN, Stage.TLS})),
    Row(Meaning.OUR_DNS, r"[45]\d\d", r"[45]\.7\.(2[67]|29|3[0-2]|40|515)"),
    Row(Meaning.REPUTATION, r"421|5\d\d", stages=_OPENING),
    Row(Meaning.REPUTATION, r"55\d", r"5\.7\.\d+|-", _LISTED),
    Row(Meaning.SLOW_DOWN, r"4\d\d", r"4\.7\.(0|28)"),
    Row(Meaning.SLOW_DOWN, r"450", r"4\.2\.1"),
    Row(Meaning.MAILBOX_FULL, r"[45]\d\d", r"[45]\.2\.2"),
    Row(Meaning.LATER, r"4\d\d"),
    Row(Meaning.NO_SUCH_USER, r"55[0-4]", r"5\.1\.(1|2|3|6|10)"),
    Row(Meaning.NO_SUCH_USER, r"55\d", r"5\.2\.1"),
    Row(Meaning.NO_SUCH_USER, r"554", _SILENT, r"^delivery error: dd\b"),
    Row(Meaning.OUR_SENDER, r"55\d", r"5\.1\.[78]"),
    Row(Meaning.TOO_LARGE, r"55\d", r"5\.(3\.4|2\.3)"),
    Row(Meaning.POLICY, r"5\d\d", r"5\.7\.\d+|5\.6\.\d+"),
    Row(Meaning.OUR_ORDER, r"50[0-4]|555"),
    Row(Meaning.OUR_SENDER, r"55\d", stages=frozenset({Stage.SENDER})),
    Row(Meaning.MAILBOX_FULL, r"55\d", _SILENT, _FULL, _ONE_READER),
    Row(Meaning.NO_SUCH_USER, r"55\d", _SILENT, _UNKNOWN, _ONE_READER),
    Row(Meaning.POLICY, r"55\d", _SILENT, _SPAM),
    Row(Meaning.MAILBOX_FULL, r"552", _SILENT),
    Row(Meaning.NOT_NOW_FOR_THEM, r"55\d", stages=frozenset({Stage.RECIPIENT})),
    Row(Meaning.REFUSED, r"5\d\d"),
)


def meaning_of(stage: Stage, reply: Reply) -> Meaning:
    """What a refusal means; a reply that is no SMTP refusal at all reads as LATER."""
    enhanced = reply.enhanced
    telling = "-" if enhanced in {"", "5.0.0", "5.5.0", "4.0.0"} else enhanced
    for row in TABLE:
        if row.matches(stage, reply, telling):
            return row.meaning
    return Meaning.LATER


def evidence_of(stage: Stage, reply: Reply, relay: str = "") -> Evidence:
    return Evidence(
        request=f"{stage} to {relay}" if relay else str(stage),
        status=reply.code,
        code=reply.enhanced,
        excerpt=reply.text[:2000],
    )


# What to tell the author: code, the post's field, remedy.
_PROBLEMS: Mapping[Meaning, tuple[str, str, str]] = {
    Meaning.TOO_LARGE: (
        "mail-too-large",
        "media",
        "Use fewer or smaller pictures, or link to them.",
    ),
    Meaning.POLICY: (
        "mail-refused",
        "body",
        "Read what the server says; send a test to yourself before the list.",
    ),
    Meaning.REFUSED: (
        "mail-refused",
        "body",
        "Read what the server says; send a test to yourself before the list.",
    ),
    Meaning.OUR_ORDER: (
        "mail-protocol",
        "",
        "Report this: the relay did not understand a command of ours.",
    ),
}
_REPAIRS: Mapping[Meaning, tuple[AccessReason, str]] = {
    Meaning.OUR_DNS: (
        AccessReason.MISCONFIGURED,
        "Correct the SPF, DKIM and DMARC records of the sending domain.",
    ),
    Meaning.OUR_LOGIN: (
        AccessReason.TOKEN,
        "Check the relay's user name and password, and its encryption.",
    ),
    Meaning.OUR_SENDER: (
        AccessReason.MISCONFIGURED,
        "Ask the relay's operator to allow the newsletter's from address.",
    ),
}


def outcome_of(stage: Stage, reply: Reply, relay: str = "") -> Outcome | Unreachable:
    """The outcome of a refused mail (or of a refused connection)."""
    said = f"{relay or 'the relay'} answered {reply.code} {reply.text}".replace("\n", " ")[:500]
    evidence = evidence_of(stage, reply, relay)
    meaning = meaning_of(stage, reply)
    if meaning in _PROBLEMS:
        code, field, remedy = _PROBLEMS[meaning]
        problem = Problem(code=code, detail=said, field=field, remedy=remedy)
        return Rejected(problem=problem, evidence=evidence)
    if meaning in _REPAIRS:
        reason, remedy = _REPAIRS[meaning]
        return AccessLost(reason=reason, detail=said, remedy=remedy, evidence=evidence)
    if meaning in {Meaning.NO_SUCH_USER, Meaning.MAILBOX_FULL, Meaning.NOT_NOW_FOR_THEM}:
        gone = meaning is Meaning.NO_SUCH_USER
        return Unreachable(detail=said, permanent=gone, evidence=evidence)
    if meaning in {Meaning.SLOW_DOWN, Meaning.REPUTATION}:
        # A greeting of 421 passes by itself; a listing stays until its owner asks for removal.
        listed = meaning is Meaning.REPUTATION and reply.code >= 500
        # With 421 it is the relay that closes; behind other codes stands the addressee's server.
        theirs = meaning is Meaning.SLOW_DOWN and stage in _ONE_READER and reply.code != 421
        return Throttled(reason=said, human=listed, theirs=theirs, evidence=evidence)
    return Unavailable(reason=said, evidence=evidence)
