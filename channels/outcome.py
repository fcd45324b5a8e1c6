"""What a platform did with one `send`: a closed vocabulary of returned values.

`scheduler.decide` matches all of them and the type checker proves that none is forgotten.
An adapter never raises to report an outcome; an exception that it did not foresee is read as
`Unconfirmed`, because nobody can tell whether the platform had already written.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What was asked and what was answered, already redacted: kept with the attempt.

    `excerpt` is at most 2,000 characters of the answer. `code` is the platform's own error code
    in its own spelling (`190/463`, `DUPLICATE_POST`, `5.1.1`); `trace` its support id.
    """

    request: str = ""
    status: int | None = None
    code: str = ""
    trace: str = ""
    excerpt: str = ""


class Severity(StrEnum):
    """`ERROR`: cannot be published like this. `WARNING`: can, and the author should know."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """What a channel cannot carry, in words for the author.

    `code` is stable and machine-readable (`text-too-long`, `image-type`, `duplicate`);
    `field` names the post's field (`body`, `media[0].alt`); `remedy` says what to do.
    """

    code: str
    detail: str
    field: str = ""
    remedy: str = ""
    severity: Severity = Severity.ERROR


class AccessReason(StrEnum):
    """Why a credential no longer opens the account; each has its own remedy."""

    TOKEN = "token"  # noqa: S105 -- the name of a reason, not a secret
    PERMISSION = "permission"
    ROLE = "role"
    POLICY = "policy"
    VERSION = "version"
    MISCONFIGURED = "misconfigured"


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """Visible, or received. `remote_id` is the platform's id, `url` where a reader sees it.

    `slow_until` (UTC): the platform's usage headers say that its limit is near; the account
    sends nothing more before then.
    """

    remote_id: str
    url: str | None = None
    note: str = ""
    slow_until: datetime | None = None
    evidence: Evidence = field(default_factory=Evidence)


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """Taken by the platform, the result comes later (a receipt, or `find`)."""

    remote_id: str
    url: str | None = None
    evidence: Evidence = field(default_factory=Evidence)


@dataclass(frozen=True, slots=True, kw_only=True)
class Throttled:
    """Nothing was written; the whole account slows down until `until` (UTC).

    `until` is None when the platform gave no hint. `human` marks a block that only a person can
    lift (Facebook 368): the account is paused and its owner alerted. `theirs`: only those who
    share the addressee's domain have to wait; the account is well. `ours`: we paused the account
    ourselves, which says nothing of it.
    """

    until: datetime | None = None
    reason: str = ""
    human: bool = False
    theirs: bool = False
    ours: bool = False
    evidence: Evidence = field(default_factory=Evidence)


@dataclass(frozen=True, slots=True, kw_only=True)
class Unavailable:
    """Certainly not written, worth another try later. `until`: the platform's own hint (UTC)."""

    reason: str
    until: datetime | None = None
    evidence: Evidence = field(default_factory=Evidence)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """The same content will be refused again."""

    problem: Problem
    evidence: Evidence = field(default_factory=Evidence)


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessLost:
    """A person has to act before this account publishes again; the content is not at fault."""

    reason: AccessReason
    detail: str
    remedy: str = ""
    evidence: Evidence = field(default_factory=Evidence)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gone:
    """The page, site or list does not exist for us; a probe has to confirm it."""

    detail: str
    evidence: Evidence = field(default_factory=Evidence)


@dataclass(frozen=True, slots=True, kw_only=True)
class Unconfirmed:
    """It may have been published. Never resent blind: looked for first.

    `presumed_sent`: the platform documents that this answer hides a success
    (Messenger 1/1357046).
    """

    detail: str
    presumed_sent: bool = False
    evidence: Evidence = field(default_factory=Evidence)


Outcome = (
    Delivered | Accepted | Throttled | Unavailable | Rejected | AccessLost | Gone | Unconfirmed
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreachable:
    """One addressee cannot be written to; the channel is healthy.

    `permanent`: suppress the address (5.1.1, no such user); else try again another day.
    `until`: when the address may work again (UTC), if known.
    """

    detail: str
    permanent: bool = False
    until: datetime | None = None
    evidence: Evidence = field(default_factory=Evidence)


RecipientOutcome = Outcome | Unreachable


class Finding(StrEnum):
    """What `find` concluded when it did not find the post.

    `ABSENT` only when proven: the platform was read, it lists what is newer, ours is not there.
    `UNKNOWN`: could not look, or looking proves nothing on this platform.
    """

    ABSENT = "absent"
    UNKNOWN = "unknown"


class HealthStatus(StrEnum):
    """What a probe found. `VANISHED` needs a live credential and, later, a second probe."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    THROTTLED = "throttled"
    ACCESS_LOST = "access-lost"
    VANISHED = "vanished"
    PLATFORM_DOWN = "platform-down"


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """One probe's answer. `expires_at`: when the credential ends, None if never or unknown."""

    status: HealthStatus
    detail: str = ""
    remedy: str = ""
    reason: AccessReason | None = None
    expires_at: datetime | None = None
    evidence: Evidence = field(default_factory=Evidence)
