"""How a publish of several steps ends early, and what that says of the site."""

from __future__ import annotations

from channels.outcome import (
    AccessLost,
    Evidence,
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


class Stop(Exception):  # noqa: N818 -- it carries an outcome, which may be no error
    """One step did not succeed: `outcome` is that of the whole delivery. Never leaves an
    adapter."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(type(outcome).__name__)
        self.outcome = outcome


def page_gone(evidence: Evidence) -> Rejected:
    """What was published is no longer there to be changed."""
    return Rejected(
        problem=Problem(
            code="post-gone",
            detail="the blog no longer has this article",
            remedy="publish it as a new post",
        ),
        evidence=evidence,
    )


def lost_picture(media: Media) -> Rejected:
    """A picture that cannot be read never turns into a post without it."""
    return Rejected(
        problem=Problem(
            code="media-missing",
            field="media",
            detail=f"the picture {media.alt or media.id!r} is no longer on this machine",
            remedy="upload the picture again",
        )
    )


def health_of(outcome: Outcome) -> Health:
    """What a probe's failed call says of the site."""
    evidence = outcome.evidence
    match outcome:
        case AccessLost():
            return Health(
                status=HealthStatus.ACCESS_LOST,
                reason=outcome.reason,
                detail=outcome.detail,
                remedy=outcome.remedy,
                evidence=evidence,
            )
        case Gone():
            return Health(status=HealthStatus.VANISHED, detail=outcome.detail, evidence=evidence)
        case Throttled():
            return Health(status=HealthStatus.THROTTLED, detail=outcome.reason, evidence=evidence)
        case Unavailable():
            detail = outcome.reason
        case _:
            detail = "the site does not answer as it should"
    return Health(status=HealthStatus.PLATFORM_DOWN, detail=detail, evidence=evidence)
