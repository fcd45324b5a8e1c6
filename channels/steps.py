"""Steps that adapters share: each goes on, or ends the send or the probe with its outcome."""

from __future__ import annotations

import asyncio
from datetime import datetime

from channels.outcome import (
    AccessLost,
    Gone,
    Health,
    HealthStatus,
    Outcome,
    Problem,
    Rejected,
    Throttled,
    Unavailable,
)
from channels.posts import Media


class Stopped(Exception):  # noqa: N818 -- not an error: it carries an outcome
    """Ends a step early with its outcome; caught in the adapter, never leaves it."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(type(outcome).__name__)
        self.outcome = outcome


async def picture_bytes(picture: Media, field: str) -> bytes:
    """The picture's file. Error: `Stopped` with Rejected: a post never goes out without it."""
    detail = "The picture has no file."
    if picture.path is not None:
        try:
            return await asyncio.to_thread(picture.path.read_bytes)
        except OSError as error:
            detail = f"The picture cannot be read: {error.strerror}."
    remedy = "Upload the picture again."
    problem = Problem(code="image-missing", detail=detail, field=field, remedy=remedy)
    raise Stopped(Rejected(problem=problem))


def unwell(outcome: Outcome, expires_at: datetime | None = None) -> Health:
    """What a read that failed says of the account. Gone: the credential has to be a live one."""
    status, detail, remedy, reason = HealthStatus.PLATFORM_DOWN, "", "", None
    match outcome:
        case AccessLost():
            status, reason = HealthStatus.ACCESS_LOST, outcome.reason
            detail, remedy = outcome.detail, outcome.remedy
        case Gone():
            status, detail = HealthStatus.VANISHED, outcome.detail
        case Throttled():
            status, detail = HealthStatus.THROTTLED, outcome.reason
        case Unavailable():
            detail = outcome.reason
        case _:
            detail = "the platform does not answer as it should"
    return Health(
        status=status,
        detail=detail,
        remedy=remedy,
        reason=reason,
        expires_at=expires_at,
        evidence=outcome.evidence,
    )
